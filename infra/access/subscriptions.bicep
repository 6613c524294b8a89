// Lets the app's identity read single subscriptions, where a management group is out of reach; new ones must be added.
// For an administrator: whoever deploys this must be Owner or User Access Administrator in each. No pipeline has that right.

targetScope = 'subscription'

@description('Object id of the app\'s identity: the output principalId of main.bicep.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Ids of the subscriptions.')
@minLength(1)
param subscriptions array

@description('False: the built-in Reader. True: a custom role with nothing but the actions of actions.json.')
param narrow bool = false

module readers 'subscription.bicep' = [
  for id in subscriptions: {
    name: 'fusewatch-access-${id}'
    scope: subscription(id)
    params: {
      principalId: principalId
      narrow: narrow
    }
  }
]
