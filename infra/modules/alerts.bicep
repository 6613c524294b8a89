// Who watches the watcher: mail to people when scans stop, executions fail or a channel refuses cards.
// Undelivered events are counted where they arise, at the system topics (events/).
// Host metrics are no evidence: timers can die while the host says Running. So the scan's own trace is counted.

@description('Name of this deployment.')
param name string

@description('Name of the action group.')
param actionGroupName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Mail addresses.')
param emails array

@description('Hours between two scans.')
param scanEveryHours int

// What the app logs; held equal to the code by tests/infra/test_code.py. The host passes the formatted text on as
// AppTraces.Message, with OpenTelemetry (host.json) as without.
var scanCompleted = 'scan finished'
var receiverRefused = 'the findings stay due'

// A rule looks back over one of a few windows: the shortest that holds two intervals.
var quietWindow = 2 * scanEveryHours <= 6 ? 'PT${2 * scanEveryHours}H' : 'P1D'

var rules = [
  {
    name: 'scan-missing'
    title: 'No scan was completed for twice the interval'
    description: 'Nothing is watched. See docs/operations.md, "The scan stopped".'
    severity: 0
    query: 'AppTraces | where TimeGenerated > ago(${2 * scanEveryHours}h) | where Message startswith "${scanCompleted}" | summarize Found = count()'
    frequency: 'PT1H'
    window: quietWindow
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'execution-failed'
    title: 'Executions failed'
    description: 'An execution ended with an exception. See docs/operations.md, "An execution failed".'
    severity: 2
    // With OpenTelemetry the host counts executions as metrics; what surely comes is the exception that it logs.
    // A 4xx is a stranger who knocks at the public address.
    query: 'union isfuzzy=true (AppRequests | where Success == false and ResultCode !startswith "4"), AppExceptions | summarize Found = dcount(OperationId)'
    frequency: 'PT15M'
    window: 'PT1H'
    operator: 'GreaterThan'
    threshold: 2
  }
  {
    name: 'receiver-refused'
    title: 'A Teams channel refuses cards'
    description: 'Its findings stay due, and the fallback gets them. See docs/operations.md, "Rotate a webhook".'
    severity: 1
    // A refused card is tried again at ever longer intervals, an hour at most: the window holds more than the threshold.
    query: 'AppTraces | where Message contains "${receiverRefused}" | summarize Found = count()'
    frequency: 'PT15M'
    window: 'PT6H'
    operator: 'GreaterThan'
    threshold: 2
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: take(name, 12)
    enabled: true
    emailReceivers: [
      for email in emails: {
        name: email
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${name}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${name}: ${rule.title}'
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      autoMitigate: true
      // The tables of a new workspace appear with its first rows.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Maximum'
            metricMeasureColumn: 'Found'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [people.id]
      }
    }
  }
]
