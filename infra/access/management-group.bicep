// Lets the app's identity read every subscription below a management group, those to come included.
// For an administrator: whoever deploys this must be Owner or User Access Administrator there. No pipeline has that right.

targetScope = 'managementGroup'

@description('Object id of the app\'s identity: the output principalId of main.bicep.')
@minLength(36)
@maxLength(36)
param principalId string

@description('False: the built-in Reader. True: a custom role with nothing but the actions of actions.json.')
param narrow bool = false

var reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7'

resource custom 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (narrow) {
  name: guid(managementGroup().id, 'fusewatch-reader')
  properties: {
    roleName: 'Fusewatch reader (${managementGroup().name})'
    description: 'Reads clusters, their identities and what those may do; changes nothing.'
    type: 'CustomRole'
    assignableScopes: [managementGroup().id]
    permissions: [
      {
        actions: union(loadJsonContent('actions.json'), ['Microsoft.Management/managementGroups/read'])
      }
    ]
  }
}

// Reader, or the custom role: without it the scan sees no cluster and no role assignment.
resource read 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(managementGroup().id, principalId, narrow ? 'narrow' : reader)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: narrow ? custom.id : tenantResourceId('Microsoft.Authorization/roleDefinitions', reader)
    description: 'Fusewatch reads clusters, their identities and what those may do.'
  }
}
