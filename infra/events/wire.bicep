// The event subscription towards on_role_change, and the alert on what it could not deliver.

@description('Name of the system topic.')
param topicName string

@description('Name of the event subscription.')
param name string

@description('Resource id of the Function App.')
param functionAppId string

@description('Resource id of the storage account for events that could not be delivered; empty: they are dropped.')
param deadLetterStorageId string

@description('Container in that account.')
param deadLetterContainer string

@description('Resource id of the action group.')
param actionGroupId string

@description('Tags.')
param tags object

// Held equal to the code by tests/infra/test_code.py.
var functionName = 'on_role_change'
var eventTypes = [
  'Microsoft.Resources.ResourceDeleteSuccess'
  'Microsoft.Resources.ResourceWriteSuccess'
]
var operations = [
  'Microsoft.Authorization/roleAssignments/delete'
  'Microsoft.Authorization/roleAssignments/write'
  'Microsoft.ContainerService/managedClusters/delete'
  'Microsoft.ContainerService/managedClusters/write'
  'Microsoft.ManagedIdentity/userAssignedIdentities/delete'
]

var destination = {
  endpointType: 'AzureFunction'
  properties: {
    resourceId: '${functionAppId}/functions/${functionName}'
    maxEventsPerBatch: 1
    preferredBatchSizeInKilobytes: 64
  }
}

var kept = {
  identity: {
    type: 'SystemAssigned'
  }
  deadLetterDestination: {
    endpointType: 'StorageBlob'
    properties: {
      resourceId: deadLetterStorageId
      blobContainerName: deadLetterContainer
    }
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource subscribed 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: name
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: destination
    filter: {
      includedEventTypes: eventTypes
      advancedFilters: [
        {
          operatorType: 'StringIn'
          key: 'data.operationName'
          values: operations
        }
      ]
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterWithResourceIdentity: empty(deadLetterStorageId) ? null : kept
  }
}

// A dead letter is a kept loss, a dropped event an unkept one; both mean that only the next scan will see it.
resource undelivered 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for metric in ['DeadLetteredCount', 'DroppedEventCount']: {
    name: '${name}-${metric}'
    location: 'global'
    tags: tags
    properties: {
      description: 'Events could not be delivered to Fusewatch. See docs/operations.md, "Events were not delivered".'
      severity: 1
      enabled: true
      scopes: [topic.id]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            name: 'undelivered'
            criterionType: 'StaticThresholdCriterion'
            metricNamespace: 'Microsoft.EventGrid/systemTopics'
            metricName: metric
            dimensions: [
              {
                name: 'EventSubscriptionName'
                operator: 'Include'
                values: [name]
              }
            ]
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: 0
            skipMetricValidation: true
          }
        ]
      }
      actions: [
        {
          actionGroupId: actionGroupId
        }
      ]
    }
  }
]

@description('Resource id of the event subscription.')
output eventSubscriptionId string = subscribed.id
