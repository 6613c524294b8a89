// The system topic of a subscription: where Azure reports what was written and deleted in it.

@description('Name of the topic.')
param name string

@description('Tags.')
param tags object

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: 'global'
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: subscription().id
    topicType: 'Microsoft.Resources.Subscriptions'
  }
}

@description('Object id of the topic\'s identity.')
output principalId string = topic.identity.principalId
