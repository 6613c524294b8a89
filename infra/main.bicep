// Fusewatch for one tenant: everything but the event subscriptions, which need the code first (events/main.bicep).

targetScope = 'subscription'

@description('Short name of this deployment; it is part of every resource name.')
@minLength(3)
@maxLength(20)
param name string

@description('The Entra tenant that is watched. ./deploy refuses to run while signed in to another one.')
@minLength(36)
@maxLength(36)
param tenantId string

@description('The subscription that hosts Fusewatch. ./deploy names it with every command.')
@minLength(36)
@maxLength(36)
param subscriptionId string

@description('Region of every resource; it must offer Flex Consumption (az functionapp list-flexconsumption-locations).')
param location string

@description('Ids of the subscriptions whose role changes are reported by event; the scan also reads every other readable one.')
@minLength(1)
@maxLength(500)
param subscriptions array

@description('True: the scan reads only the subscriptions above, not every readable one.')
param onlyListedSubscriptions bool = false

@description('System topics that exist already, by subscription id: { name, resourceGroup, principalId }; principalId is that of the topic\'s system-assigned identity, empty if it has none (then nothing can be dead-lettered there).')
param existingTopics object = {}

@description('Mail addresses told when Fusewatch itself is in trouble.')
@minLength(1)
@maxLength(10)
param alertEmails array

@description('Teams with a channel of their own, as in TEAMS_WEBHOOK_URL_<TEAM>: A-Z, 0-9 and _.')
@maxLength(50)
param teams array = []

@description('Routes from owner, app id, name prefix, subscription or tag to a team; see the setting ROUTES.')
param routes array = []

@description('Tag that names the owner, on the cluster, its resource group or its subscription.')
@minLength(1)
param ownerTag string = 'owner'

@description('Tag that names the team, on the cluster, its resource group or its subscription.')
@minLength(1)
param teamTag string = 'team'

@description('Hours between two scans. The alert rule for missing scans follows it.')
@allowed([1, 2, 3, 4, 6, 8, 12])
param scanEveryHours int = 6

@description('When events are drained and cards are sent: NCRONTAB with six fields, UTC.')
@minLength(11)
param settleSchedule string = '0 * * * * *'

@description('Days before an end at which its owner is told, each once; separated by commas.')
@minLength(1)
param noticeDays string = '60,30,14,7,3,1'

@description('The least severity that is announced; everything is stored.')
@allowed(['info', 'warning', 'critical'])
param minSeverity string = 'warning'

@description('Minutes that a lost role assignment may take to come back before it is announced.')
@minValue(0)
@maxValue(60)
param graceMinutes int = 5

@description('Days after which an open critical finding is announced again.')
@minValue(1)
@maxValue(365)
param repeatDays int = 7

@description('Days that resolved findings, events and the scan log are kept.')
@minValue(31)
@maxValue(3650)
param retentionDays int = 180

@description('True: a custom topic is made, and findings are published to it as CloudEvents.')
param publishFindings bool = false

@description('Resource Manager endpoint; empty: that of the cloud deployed to.')
param armEndpoint string = ''

@description('Microsoft Graph endpoint; empty: that of the cloud deployed to.')
param graphEndpoint string = ''

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances at one time. Deliveries are small and the timers are singletons: few are enough.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Gigabytes of log a day after which Log Analytics stops taking more: the only unbounded cost.')
@minLength(1)
param dailyLogCapGb string = '0.5'

@description('True: bring back the key vault that an earlier removal left soft-deleted; ./deploy sets it.')
param recoverVault bool = false

@description('Tags of every resource.')
param tags object = {}

var allTags = union(tags, { fusewatch: name })
var token = uniqueString(subscriptionId, name)
var groupName = 'rg-${name}'
var storageName = 'st${token}'
var vaultName = 'kv-${token}'
var componentName = 'appi-${name}-${token}'
var topicName = publishFindings ? 'evgt-${name}-${token}' : ''
var appName = 'func-${name}-${token}'
var appId = resourceId(subscriptionId, groupName, 'Microsoft.Web/sites', appName)
var alertGroupName = 'ag-${name}'
var deadLetterContainer = 'dead-letter'

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: 'id-${name}-${token}'
    location: location
    tags: allTags
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: storageName
    location: location
    tags: allTags
    deadLetterContainer: deadLetterContainer
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  params: {
    name: vaultName
    location: location
    tags: allTags
    tenantId: tenantId
    recover: recoverVault
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: 'log-${name}-${token}'
    componentName: componentName
    location: location
    tags: allTags
    dailyCapGb: dailyLogCapGb
  }
}

module topic 'modules/topic.bicep' = if (publishFindings) {
  scope: group
  params: {
    name: topicName
    location: location
    tags: allTags
  }
}

module roles 'modules/roles.bicep' = {
  scope: group
  dependsOn: [storage, vault, monitoring, topic]
  params: {
    principalId: identity.outputs.principalId
    storageName: storageName
    vaultName: vaultName
    componentName: componentName
    topicName: topicName
  }
}

module app 'modules/app.bicep' = {
  scope: group
  // The host and its Key Vault references fail without their roles, so these come first.
  dependsOn: [roles]
  params: {
    name: appName
    planName: 'plan-${name}-${token}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storageName
    packageContainer: storage.outputs.packageContainer
    vaultUri: vault.outputs.uri
    componentName: componentName
    teams: teams
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    settings: {
      AZURE_CLOUD: environment().name
      ARM_ENDPOINT: armEndpoint
      GRAPH_ENDPOINT: graphEndpoint
      SUBSCRIPTIONS: onlyListedSubscriptions ? join(subscriptions, ',') : ''
      ROUTES: string(routes)
      OWNER_TAG: ownerTag
      TEAM_TAG: teamTag
      TOPIC_ENDPOINT: publishFindings ? topic!.outputs.endpoint : ''
      SCAN_SCHEDULE: '0 0 */${scanEveryHours} * * *'
      SETTLE_SCHEDULE: settleSchedule
      NOTICE_DAYS: noticeDays
      MIN_SEVERITY: minSeverity
      GRACE_MINUTES: string(graceMinutes)
      REPEAT_DAYS: string(repeatDays)
      RETENTION_DAYS: string(retentionDays)
      FUNCTION_APP_ID: appId
    }
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    name: name
    actionGroupName: alertGroupName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    emails: alertEmails
    scanEveryHours: scanEveryHours
  }
}

@description('Resource group of the app.')
output resourceGroup string = group.name

@description('Name of the Function App.')
output functionAppName string = appName

@description('Resource id of the Function App.')
output functionAppId string = appId

@description('Name of the key vault that holds the webhook URLs.')
output vaultName string = vaultName

@description('Object id of the identity that reads the tenant: grant it the permissions of docs/permissions.md.')
output principalId string = identity.outputs.principalId

@description('Parameters of events/main.bicep, applied once the functions are there: ./deploy hands them on as they are.')
output events object = {
  name: { value: name }
  location: { value: location }
  subscriptions: { value: subscriptions }
  existingTopics: { value: existingTopics }
  functionAppId: { value: appId }
  deadLetterStorageId: {
    value: resourceId(subscriptionId, groupName, 'Microsoft.Storage/storageAccounts', storageName)
  }
  deadLetterContainer: { value: deadLetterContainer }
  actionGroupId: { value: resourceId(subscriptionId, groupName, 'Microsoft.Insights/actionGroups', alertGroupName) }
  tags: { value: allTags }
}
