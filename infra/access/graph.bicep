// Lets the app's identity read Entra. For an administrator with the role Privileged Role Administrator: the right to grant
// this would let a pipeline grant itself anything. Cannot be part of a deployment stack; `grant` does the same without it.

extension microsoftGraphV1

targetScope = 'subscription'

@description('Object id of the app\'s identity: the output principalId of main.bicep.')
@minLength(36)
@maxLength(36)
param principalId string

@description('True: also User.ReadBasic.All, without which an owner is known by id only and cannot be mentioned on a card.')
param mentions bool = true

// Application.Read.All: applications, service principals, their credentials and owners.
var permissions = mentions ? ['Application.Read.All', 'User.ReadBasic.All'] : ['Application.Read.All']

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

resource granted 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for permission in permissions: {
    principalId: principalId
    resourceId: graph.id
    appRoleId: filter(graph.appRoles, role => role.value == permission)[0].id
  }
]
