// Reports the role changes of each subscription to the app. Applied after the code: Event Grid takes a function as a
// destination only once it is there. The parameters are the output `events` of main.bicep; ./deploy hands them on.

targetScope = 'subscription'

@description('Short name of this deployment.')
@minLength(3)
@maxLength(20)
param name string

@description('Region of the resource groups that hold the topics; the topics themselves are global.')
param location string

@description('Ids of the subscriptions to report from.')
@minLength(1)
@maxLength(500)
param subscriptions array

@description('System topics that exist already, by subscription id: { name, resourceGroup, principalId }.')
param existingTopics object = {}

@description('Resource id of the Function App.')
param functionAppId string

@description('Resource id of the storage account for events that could not be delivered.')
param deadLetterStorageId string

@description('Container in that account.')
param deadLetterContainer string

@description('Resource id of the action group that is told of undelivered events.')
param actionGroupId string

@description('Tags of every resource.')
param tags object = {}

var none = { name: '', resourceGroup: '', principalId: '' }

module wired 'subscription.bicep' = [
  for id in subscriptions: {
    name: 'fusewatch-events-${id}'
    scope: subscription(id)
    params: {
      name: name
      location: location
      existingTopic: union(none, existingTopics[?id] ?? {})
      functionAppId: functionAppId
      deadLetterStorageId: deadLetterStorageId
      deadLetterContainer: deadLetterContainer
      actionGroupId: actionGroupId
      tags: tags
    }
  }
]

@description('Resource ids of the event subscriptions, each to be found Succeeded.')
output eventSubscriptionIds array = [for (id, index) in subscriptions: wired[index].outputs.eventSubscriptionId]
