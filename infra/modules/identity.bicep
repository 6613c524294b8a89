// The one identity of the app. User-assigned, so that its roles exist before the app starts.

@description('Name of the identity.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Resource id.')
output id string = identity.id

@description('Object id, the principal of role assignments.')
output principalId string = identity.properties.principalId

@description('Client id, by which the app names it.')
output clientId string = identity.properties.clientId
