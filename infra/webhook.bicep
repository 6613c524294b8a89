// Puts one webhook URL into the vault, by the deployer's control-plane right; nobody needs a right to read it.

@description('Name of the key vault.')
param vaultName string

@description('Team whose channel it is, as in TEAMS_WEBHOOK_URL_<TEAM>; empty: the fallback.')
param team string = ''

@secure()
@description('The URL that the Teams workflow shows.')
param url string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource secret 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  // checkov:skip=CKV_AZURE_41: the URL of a flow has no end; it is rotated when its flow is
  parent: vault
  name: empty(team) ? 'teams-webhook-url' : 'teams-webhook-url-${toLower(replace(team, '_', '-'))}'
  properties: {
    value: url
    contentType: 'URL of a Teams workflow'
  }
}
