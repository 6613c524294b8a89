// Custom topic to which findings are published as CloudEvents, for whoever wants to act on them.

@description('Name of the topic.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  // checkov:skip=CKV_AZURE_191: the topic only receives; an identity is for delivery, which the subscriber sets up
  // checkov:skip=CKV_AZURE_193: the app publishes from the public network by Entra identity; keys are off
  name: name
  location: location
  tags: tags
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

@description('Address to publish to.')
output endpoint string = topic.properties.endpoint
