// Holds the webhook URLs of the Teams channels and nothing else: whoever has such a URL can post there.

@description('Name of the vault.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Entra tenant of the vault.')
param tenantId string

@description('True: bring back the soft-deleted vault of this name.')
param recover bool

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  // checkov:skip=CKV_AZURE_109: Key Vault references of a Flex Consumption app without a network come from addresses nobody can list; entry is by role only
  // checkov:skip=CKV_AZURE_189: as above
  name: name
  location: location
  tags: tags
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Allow'
    }
  }
}

@description('Address, ending with a slash.')
output uri string = vault.properties.vaultUri
