// Lets the app's identity read one subscription.

targetScope = 'subscription'

@description('Object id of the app\'s identity.')
param principalId string

@description('False: the built-in Reader. True: a custom role with nothing but the actions of actions.json.')
param narrow bool

var reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7'

resource custom 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (narrow) {
  name: guid(subscription().id, 'fusewatch-reader')
  properties: {
    roleName: 'Fusewatch reader (${subscription().subscriptionId})'
    description: 'Reads clusters, their identities and what those may do; changes nothing.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: loadJsonContent('actions.json')
      }
    ]
  }
}

// Reader, or the custom role: without it the scan sees no cluster and no role assignment here.
resource read 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, narrow ? 'narrow' : reader)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: narrow ? custom.id : subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader)
    description: 'Fusewatch reads clusters, their identities and what those may do.'
  }
}
