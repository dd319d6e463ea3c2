{{/*
Who the Pod is, in CEL: variables that the mutating policy starts with. Every expression is a variable of its own, for
the API server evaluates each of them once, when something first asks for it, and counts its cost against a limit of
its own.
*/}}
{{- define "wisp.cel.identity" -}}
# Annotations of the Pod and of its ServiceAccount, which is what params are.
- name: annotations
  expression: "object.metadata.?annotations.orValue({})"
- name: places
  expression: "{'pod': variables.annotations, 'account': params.metadata.?annotations.orValue({})}"

# For each setting where it may stand, first come, first served; then what has come first, as {key, value}. Of a
# setting that stands nowhere both are empty.
- name: given
  expression: |-
    {
      'config': [['pod', 'wisp-sidecar.github.io/config']],
      'tokens': [['pod', 'wisp-sidecar.github.io/tokens']],
      'outlets': [['pod', 'wisp-sidecar.github.io/outlets']],
      'skipContainers': [['pod', 'wisp-sidecar.github.io/skip-containers']],
      'azureSkipContainers': [['pod', 'azure.workload.identity/skip-containers']],
      'logLevel': [['pod', 'wisp-sidecar.github.io/log-level']],
      'port': [['pod', 'wisp-sidecar.github.io/port']],
      'healthPort': [['pod', 'wisp-sidecar.github.io/health-port']],
      'requestsCPU': [['pod', 'wisp-sidecar.github.io/resources-requests-cpu']],
      'requestsMemory': [['pod', 'wisp-sidecar.github.io/resources-requests-memory']],
      'limitsCPU': [['pod', 'wisp-sidecar.github.io/resources-limits-cpu']],
      'limitsMemory': [['pod', 'wisp-sidecar.github.io/resources-limits-memory']],
      'linkLocal': [['pod', 'wisp-sidecar.github.io/link-local']],
      'allowBypass': [['pod', 'wisp-sidecar.github.io/allow-bypass']],
      'expiration': [['pod', 'wisp-sidecar.github.io/token-expiration'], ['account', 'wisp-sidecar.github.io/token-expiration']],
      'awsRole': [['pod', 'wisp-sidecar.github.io/aws-role-arn'], ['account', 'wisp-sidecar.github.io/aws-role-arn'],
        ['account', 'eks.amazonaws.com/role-arn']],
      'awsRegion': [['pod', 'wisp-sidecar.github.io/aws-region'], ['account', 'wisp-sidecar.github.io/aws-region']],
      'awsAudience': [['pod', 'wisp-sidecar.github.io/aws-audience'], ['account', 'wisp-sidecar.github.io/aws-audience'],
        ['account', 'eks.amazonaws.com/audience']],
      'awsExpiration': [['pod', 'wisp-sidecar.github.io/token-expiration'], ['account', 'wisp-sidecar.github.io/token-expiration'],
        ['pod', 'eks.amazonaws.com/token-expiration'], ['account', 'eks.amazonaws.com/token-expiration']],
      'awsRegionalEndpoints': [['account', 'eks.amazonaws.com/sts-regional-endpoints']],
      'googleAccount': [['pod', 'wisp-sidecar.github.io/google-service-account'], ['account', 'wisp-sidecar.github.io/google-service-account'],
        ['account', 'iam.gke.io/gcp-service-account']],
      'googleAudience': [['pod', 'wisp-sidecar.github.io/google-audience'], ['account', 'wisp-sidecar.github.io/google-audience']],
      'googleQuotaProject': [['account', 'iam.gke.io/credential-quota-project']],
      'azureClient': [['pod', 'wisp-sidecar.github.io/azure-client-id'], ['account', 'wisp-sidecar.github.io/azure-client-id'],
        ['account', 'azure.workload.identity/client-id']],
      'azureTenant': [['pod', 'wisp-sidecar.github.io/azure-tenant-id'], ['account', 'wisp-sidecar.github.io/azure-tenant-id'],
        ['account', 'azure.workload.identity/tenant-id']],
      'azureExpiration': [['pod', 'wisp-sidecar.github.io/token-expiration'], ['account', 'wisp-sidecar.github.io/token-expiration'],
        ['pod', 'azure.workload.identity/service-account-token-expiration'], ['account', 'azure.workload.identity/service-account-token-expiration']]
    }.transformMap(setting, chain, (
      chain.filter(c, c[1] in variables.places[c[0]]).map(c, {'key': c[1], 'value': string(variables.places[c[0]][c[1]])})
      + [{'key': '', 'value': ''}]
    )[0])

# With a whole document for wisp no cloud is on: the document rules. The values below still reach the applications.
- name: document
  expression: variables.given.config.value != ''
- name: awsOn
  expression: "!variables.document && variables.given.awsRole.value != ''"
- name: googleOn
  expression: "!variables.document && (variables.given.googleAccount.value != '' || variables.given.googleAudience.value != '')"
- name: azureOn
  expression: "!variables.document && variables.given.azureClient.value != ''"

# An empty annotation means none, and hides the chart's value; but there is no token without audience and expiration.
- name: awsRegion
  expression: |-
    variables.given.awsRegion.key != '' ? variables.given.awsRegion.value : {{ include "wisp.cel.string" .Values.aws.region }}
- name: awsAudience
  expression: |-
    variables.given.awsAudience.value != '' ? variables.given.awsAudience.value : {{ include "wisp.cel.string" .Values.aws.audience }}
- name: awsExpiration
  expression: |-
    variables.given.awsExpiration.value != '' ? int(variables.given.awsExpiration.value) : {{ int .Values.aws.tokenExpiration }}
- name: googleProvider
  expression: |-
    variables.given.googleAudience.key != '' ? variables.given.googleAudience.value : {{ include "wisp.cel.string" .Values.google.audience }}
# What a provider's tokens are for: its own name as a URL, or the pool of identitynamespace:POOL:URL.
- name: googleTokenAudience
  expression: |-
    {{- with .Values.google.tokenAudience }}
    variables.googleProvider == {{ include "wisp.cel.string" $.Values.google.audience }} ? {{ include "wisp.cel.string" . }} :
    {{- end }}
    variables.googleProvider.startsWith('//') ? 'https:' + variables.googleProvider :
    variables.googleProvider.split(':')[?1].orValue('')
- name: googleExpiration
  expression: |-
    variables.given.expiration.value != '' ? int(variables.given.expiration.value) : {{ int .Values.google.tokenExpiration }}
- name: googleProject
  expression: |-
    {{- with .Values.google.project }}
    {{ include "wisp.cel.string" . }}
    {{- else }}
    variables.given.googleAccount.value.matches('^[^@]+@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$') ?
    variables.given.googleAccount.value.split('@')[1].split('.')[0] : ''
    {{- end }}
- name: azureClient
  expression: variables.given.azureClient.value
- name: azureTenant
  expression: |-
    variables.given.azureTenant.key != '' ? variables.given.azureTenant.value : {{ include "wisp.cel.string" .Values.azure.tenantId }}
- name: azureExpiration
  expression: |-
    variables.given.azureExpiration.value != '' ? int(variables.given.azureExpiration.value) : {{ int .Values.azure.tokenExpiration }}

- name: port
  expression: |-
    variables.injectedPort != '' ? variables.injectedPort : variables.given.port.value != '' ? variables.given.port.value : '{{ int .Values.port }}'
- name: healthPort
  expression: |-
    variables.given.healthPort.value != '' ? variables.given.healthPort.value : '{{ int .Values.healthPort }}'
- name: linkLocal
  expression: variables.given.linkLocal.value == 'true'

# Entries of the annotation, or what the clouds ask for. On a second pass it is what the first one has said. A very long
# annotation is refused as it is: what distinct() costs grows with the square of the list, and no limit counts that.
- name: chosen
  expression: |-
    variables.given.outlets.value.size() > 1000 ? [] : variables.given.outlets.value.split(',').map(o, o.trim()).filter(o, o != '')
- name: outlets
  expression: |-
    (variables.injected ? variables.injectedOutlets :
    size(variables.chosen) > 0 || variables.given.outlets.value.size() > 1000 ? variables.chosen :
    (variables.awsOn ? ['awsContainer'] : []) + (variables.googleOn ? ['gceMetadata'] : []) + (variables.azureOn ? ['appService'] : [])
    ).distinct()
# Values of a document's own tokens, in order.
- name: tokens
  expression: |-
    variables.given.tokens.value.size() > 2000 ? [] : variables.given.tokens.value.split(',').map(t, t.trim()).filter(t, t != '')
{{- end }}
