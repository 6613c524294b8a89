// Example: one subscription, which also hosts Fusewatch; one channel.

using '../main.bicep'

param name = 'fusewatch'
param tenantId = '11111111-1111-4111-8111-111111111111'
param subscriptionId = '22222222-2222-4222-8222-222222222201'
param location = 'westeurope'
param subscriptions = [
  '22222222-2222-4222-8222-222222222201'
]
param alertEmails = ['platform@contoso.example']
