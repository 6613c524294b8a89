// One subscription: its system topic (Azure allows one) or the one it has, the right to dead-letter, the event subscription.

targetScope = 'subscription'

@description('Short name of this deployment.')
param name string

@description('Region of the resource group.')
param location string

@description('The system topic that exists already: { name, resourceGroup, principalId }; all empty: one is made.')
param existingTopic object

@description('Resource id of the Function App.')
param functionAppId string

@description('Resource id of the storage account for events that could not be delivered.')
param deadLetterStorageId string

@description('Container in that account.')
param deadLetterContainer string

@description('Resource id of the action group that is told of undelivered events.')
param actionGroupId string

@description('Tags.')
param tags object

var ours = empty(existingTopic.name)
var groupName = ours ? 'rg-${name}-events' : existingTopic.resourceGroup
var topicName = ours ? 'evgt-${name}-subscription' : existingTopic.name
var storageParts = split(deadLetterStorageId, '/')

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = if (ours) {
  name: 'rg-${name}-events'
  location: location
  tags: tags
}

module topic 'topic.bicep' = if (ours) {
  scope: resourceGroup('rg-${name}-events')
  dependsOn: [group]
  params: {
    name: topicName
    tags: tags
  }
}

// A topic of somebody else's without an identity is left as it is; what it cannot deliver is counted, but not kept.
var deadLetter = ours || !empty(existingTopic.principalId)

module roles 'roles.bicep' = if (deadLetter) {
  name: 'fusewatch-dead-letter-${subscription().subscriptionId}'
  scope: resourceGroup(storageParts[2], storageParts[4])
  params: {
    principalId: ours ? topic!.outputs.principalId : existingTopic.principalId
    storageName: last(storageParts)
    containerName: deadLetterContainer
  }
}

module wire 'wire.bicep' = {
  scope: resourceGroup(groupName)
  // Event Grid refuses a dead-letter container that the topic may not write to.
  dependsOn: [topic, roles]
  params: {
    topicName: topicName
    name: name
    functionAppId: functionAppId
    deadLetterStorageId: deadLetter ? deadLetterStorageId : ''
    deadLetterContainer: deadLetterContainer
    actionGroupId: actionGroupId
    tags: tags
  }
}

@description('Resource id of the event subscription.')
output eventSubscriptionId string = wire.outputs.eventSubscriptionId
