// The Function App on Flex Consumption: Python 3.13, everything by identity.
// Flex refuses ftpsState, linuxFxVersion, alwaysOn and FUNCTIONS_WORKER_RUNTIME: siteConfig holds the TLS version and settings only.

@description('Name of the Function App.')
param name string

@description('Name of the plan.')
param planName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of the app\'s identity.')
param identityId string

@description('Client id of the app\'s identity.')
param identityClientId string

@description('Name of the storage account.')
param storageName string

@description('Container for the deployed code.')
param packageContainer string

@description('Address of the key vault, ending with a slash.')
param vaultUri string

@description('Name of the Application Insights component.')
param componentName string

@description('Teams with a webhook of their own.')
param teams array

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Most instances at one time.')
param maximumInstanceCount int

@description('Settings of the app by name, those aside that follow from the other parameters.')
param settings object

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

// A deployment replaces the settings as a whole: what is not here is gone afterwards.
var hostSettings = [
  { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
  { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
  { name: 'AzureWebJobsStorage__blobServiceUri', value: storage.properties.primaryEndpoints.blob }
  { name: 'AzureWebJobsStorage__queueServiceUri', value: storage.properties.primaryEndpoints.queue }
  { name: 'AzureWebJobsStorage__tableServiceUri', value: storage.properties.primaryEndpoints.table }
  { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: component.properties.ConnectionString }
  { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
  { name: 'AZURE_CLIENT_ID', value: identityClientId }
  { name: 'TABLES_ENDPOINT', value: storage.properties.primaryEndpoints.table }
  { name: 'TEAMS_WEBHOOK_URL', value: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/teams-webhook-url)' }
]
var ownSettings = [
  for item in items(settings): {
    name: item.key
    value: item.value
  }
]
// No version in the URI: a new version of the secret is taken up by itself within a day.
var teamSettings = [
  for team in teams: {
    name: 'TEAMS_WEBHOOK_URL_${team}'
    value: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/teams-webhook-url-${toLower(replace(team, '_', '-'))})'
  }
]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  // checkov:skip=CKV_AZURE_225: zones are a choice of the region; the findings survive an outage, and the next scan catches up
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  // checkov:skip=CKV_AZURE_17: Event Grid presents no client certificate; it authenticates by a key that it fetches and rolls itself
  // checkov:skip=CKV_AZURE_18: Flex Consumption refuses much of siteConfig, by region; only what it surely takes is set, and nothing here gains from HTTP/2
  // checkov:skip=CKV_AZURE_67: as above
  // checkov:skip=CKV_AZURE_78: Flex Consumption refuses ftpsState; FTP is closed by the policies below
  // checkov:skip=CKV_AZURE_212: Flex Consumption scales by itself; it has no least number of instances, and a cold start of seconds does no harm
  // checkov:skip=CKV_AZURE_213: Flex Consumption has no health check; a missing scan raises the alarm instead (alerts.bicep)
  // checkov:skip=CKV_AZURE_222: Event Grid cannot deliver over a private endpoint
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      appSettings: concat(hostSettings, ownSettings, teamSettings)
    }
  }
}

// Code comes with an Entra token; passwords for publishing are off, which also closes FTP.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}
