{{/*
Why a Pod cannot be injected, in CEL: a list of sentences, all of them, in a fixed order. The webhook says the same
in the same words.
*/}}
{{- define "wisp.cel.problems" -}}
- name: unknownAnnotations
  expression: |-
    variables.annotations.filter(key, key.startsWith('wisp-sidecar.github.io/') && !(key.substring(23) in [
      'config', 'tokens', 'outlets', 'skip-containers', 'log-level', 'port', 'health-port',
      'resources-requests-cpu', 'resources-requests-memory', 'resources-limits-cpu', 'resources-limits-memory',
      'link-local', 'allow-bypass', 'token-expiration', 'aws-role-arn', 'aws-region', 'aws-audience',
      'google-audience', 'google-service-account', 'azure-client-id', 'azure-tenant-id'
    ])).map(key, string(key)).sort().map(key, 'annotation ' + key + ' is not known')
# The form of each value that is in use: what it has to match, and, of numbers, from where to where it may be. With a document, too,
# applications are told the region, the account's project and the client.
- name: forms
  expression: |-
    (variables.given.outlets.value.size() > 1000 ? [variables.given.outlets.value] : variables.outlets).map(o, {'key': 'wisp-sidecar.github.io/outlets', 'value': o,
      'form': '^(awsContainer|imds|gceMetadata|appService|azureIMDS)$', 'want': 'awsContainer, imds, gceMetadata, appService or azureIMDS'})
    + [variables.given.skipContainers, variables.given.azureSkipContainers].map(g, {'key': g.key, 'value': g.value,
      'form': '', 'longest': '2000', 'want': 'names of containers'})
    + [
      {'key': variables.given.logLevel.key, 'value': variables.given.logLevel.value,
        'form': '^(debug|info|warn|error)$', 'want': 'debug, info, warn or error'}
    ]
    + [variables.given.port, variables.given.healthPort].map(g, {'key': g.key, 'value': g.value,
      'form': '^[1-9][0-9]{3,4}$', 'from': '1024', 'to': '65535', 'want': 'a port from 1024 to 65535'})
    + [variables.given.requestsCPU, variables.given.requestsMemory, variables.given.limitsCPU, variables.given.limitsMemory].map(g,
      {'key': g.key, 'value': g.value, 'form': '^[0-9]{1,9}([.][0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?$', 'want': 'a quantity such as 20m or 64Mi'})
    + [variables.given.linkLocal, variables.given.allowBypass].map(g, {'key': g.key, 'value': g.value,
      'form': '^(true|false)$', 'want': 'true or false'})
    + (variables.given.tokens.value.size() > 2000 ? [variables.given.tokens.value] : variables.tokens).map(t, {'key': variables.given.tokens.key, 'value': t,
      'form': '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?=[!-~]{1,256}$', 'want': 'NAME=AUDIENCE'})
    + (!variables.awsOn ? [] : [
      {'key': variables.given.awsRole.key, 'value': variables.given.awsRole.value,
        'form': '^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$', 'longest': '640', 'want': 'a role ARN'}
    ])
    + (!variables.awsOn && !variables.document ? [] : [
      {'key': variables.given.awsRegion.key, 'value': variables.given.awsRegion.value,
        'form': '^[a-z0-9]+(-[a-z0-9]+)*$', 'longest': '40', 'want': 'a region such as eu-west-1'}
    ])
    + (!variables.awsOn ? [] : [
      {'key': variables.given.awsAudience.key, 'value': variables.given.awsAudience.value,
        'form': '^[!-~]{1,256}$', 'want': 'an audience'},
      {'key': variables.given.awsRegionalEndpoints.key, 'value': variables.given.awsRegionalEndpoints.value,
        'form': '^(true|false)$', 'want': 'true or false'}
    ])
    + (!variables.googleOn ? [] : [
      {'key': variables.given.googleAudience.key, 'value': variables.given.googleAudience.value,
        'form': '^(//iam[.]googleapis[.]com/projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}'
          + '|//iam[.]googleapis[.]com/locations/[a-z0-9-]{1,30}/workforcePools/[a-z0-9-]{6,63}/providers/[a-z0-9-]{4,32}'
          + '|identitynamespace:[a-z0-9.-]{1,100}[.]svc[.]id[.]goog:https://[A-Za-z0-9./:_~-]{1,300})$',
        'want': '//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, or identitynamespace:POOL:URL'}
    ])
    + (!variables.googleOn && !variables.document ? [] : [
      {'key': variables.given.googleAccount.key, 'value': variables.given.googleAccount.value,
        'form': '^([a-z0-9-]{6,30}@[a-z0-9.-]{1,100}[.]iam[.]gserviceaccount[.]com|[0-9]{1,20}-compute@developer[.]gserviceaccount[.]com'
          + '|[a-z0-9.-]{1,100}@appspot[.]gserviceaccount[.]com|[0-9]{10,30})$',
        'want': 'the e-mail of a service account'}
    ])
    + (!variables.googleOn ? [] : [
      {'key': variables.given.googleQuotaProject.key, 'value': variables.given.googleQuotaProject.value,
        'form': '^[a-z0-9][a-z0-9.:-]{0,62}$', 'want': 'a project'}
    ])
    + (!variables.azureOn && !variables.document ? [] : [
      {'key': variables.given.azureClient.key, 'value': variables.given.azureClient.value,
        'form': '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$', 'want': 'a client id'}
    ])
    + (!variables.azureOn ? [] : [
      {'key': variables.given.azureTenant.key, 'value': variables.given.azureTenant.value,
        'form': '^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.]){1,10}[A-Za-z]{2,63})$',
        'longest': '253', 'want': 'a tenant'}
    ])
    + (
      (variables.awsOn ? [variables.given.awsExpiration] : [])
      + (variables.googleOn || variables.document ? [variables.given.expiration] : [])
      + (variables.azureOn ? [variables.given.azureExpiration] : [])
    ).distinct().map(g, {'key': g.key, 'value': g.value,
      'form': '^[1-9][0-9]{2,4}$', 'from': '600', 'to': '86400', 'want': 'seconds from 600 to 86400'})
# What matching costs grows with the length of the value, and anybody may write a long one: it is not even tried.
- name: badValues
  expression: |-
    variables.forms.filter(f, f.value != '' && (
      f.value.size() > int(f.?longest.orValue('1000')) || !f.value.matches(f.form)
      || (has(f.from) && (int(f.value) < int(f.from) || int(f.value) > int(f.to)))
    )).map(f, 'annotation ' + f.key + " is '"
      + {{ include "wisp.cel.shown" "f.value" }}
      + "', want " + f.want)
- name: secretless
  expression: |-
    variables.outlets.filter(o, o in ['imds', 'gceMetadata', 'azureIMDS'])
- name: hostNetwork
  expression: object.spec.?hostNetwork.orValue(false)
- name: linkLocalProblems
  expression: |-
    !variables.linkLocal ? [] : (
      [{{ if not .Values.linkLocal }}'link-local mode is off in this cluster: set linkLocal: true in the chart\'s values'{{ end }}]
      + (variables.hostNetwork ? ['link-local mode would change the node\'s network: it does not go with hostNetwork'] : [])
      + (namespaceObject.metadata.?labels[?'pod-security.kubernetes.io/enforce'].orValue('') in ['baseline', 'restricted'] ?
        ['link-local mode needs NET_ADMIN in an init container, which this namespace forbids: label it pod-security.kubernetes.io/enforce: privileged'] : [])
      + object.spec.?securityContext.?sysctls.orValue([]).filter(s, s.name == 'net.ipv4.ip_unprivileged_port_start'
        && !(s.value.matches('^[0-9]{1,9}$') && int(s.value) <= 80)).map(s,
        'the Pod\'s sysctl net.ipv4.ip_unprivileged_port_start is \'' + s.value + '\', and link-local mode needs 80 or less')
    )
- name: mountProblems
  expression: |-
    variables.served.filter(s, s.mounts.exists(m, m.mountPath in ['/run/wisp', '/run/wisp/'] && m.name != 'wisp-run'))
    .map(s, 'container ' + s.name + ' has a mount of its own at /run/wisp')
- name: bypassProblems
  expression: |-
    variables.given.allowBypass.value == 'true' ? [] : variables.bypasses.map(b, 'container ' + b.container + ' has ' + b.variable + ', with which ' + {
      'AWS_WEB_IDENTITY_TOKEN_FILE': 'SDKs pass wisp by: if the webhook of EKS has set it, annotate the Pod with eks.amazonaws.com/skip-containers'
        + ' or the ServiceAccount with wisp-sidecar.github.io/aws-role-arn in place of eks.amazonaws.com/role-arn',
      'GOOGLE_APPLICATION_CREDENTIALS': 'libraries pass wisp by: remove it',
      'AZURE_FEDERATED_TOKEN_FILE': 'SDKs pass wisp by: if the webhook of AKS has set it, remove the Pod\'s label azure.workload.identity/use'
    }[b.variable] + ', or permit it with wisp-sidecar.github.io/allow-bypass: "true"')
- name: problems
  expression: |-
    variables.huge ? ['the Pod has more containers, variables, mounts and volumes than mode policy looks at'] :
    variables.injected ? variables.mountProblems + variables.bypassProblems :
    (object.spec.?os.?name.orValue('') == 'windows' ? ['wisp runs on Linux, and spec.os.name is windows'] : [])
    + variables.unknownAnnotations
    + variables.badValues
    + (variables.given.tokens.value != '' && !variables.document ?
      ['annotation wisp-sidecar.github.io/tokens has no meaning without wisp-sidecar.github.io/config'] : [])
    + (variables.port == variables.healthPort ? ['port and health port are both ' + {{ include "wisp.cel.shown" "variables.port" }}] : [])
    + (!variables.document && !variables.awsOn && !variables.googleOn && !variables.azureOn ?
      ['neither the ServiceAccount ' + params.metadata.name + ' nor the Pod says who it is: annotate one of them with eks.amazonaws.com/role-arn,'
        + ' iam.gke.io/gcp-service-account or azure.workload.identity/client-id (ServiceAccount only), or wisp-sidecar.github.io/aws-role-arn,'
        + ' google-service-account or azure-client-id'] : [])
    + (variables.awsOn && variables.awsRegion == '' ?
      ['the AWS region is not known: set aws.region in the chart\'s values or the annotation wisp-sidecar.github.io/aws-region'] : [])
    + (variables.googleOn && variables.googleProvider == '' ?
      ['the Google provider is not known: set google.audience in the chart\'s values or the annotation wisp-sidecar.github.io/google-audience'] : [])
    + (variables.azureOn && variables.azureTenant == '' ?
      ['the Entra tenant is not known: set azure.tenantId in the chart\'s values or the annotation azure.workload.identity/tenant-id'] : [])
    + (variables.document ? [] : variables.outlets.map(o,
      o in ['awsContainer', 'imds'] && !variables.awsOn ? 'the outlet ' + o + ' needs an identity of AWS' :
      o == 'gceMetadata' && !variables.googleOn ? 'the outlet ' + o + ' needs an identity of Google' :
      o in ['appService', 'azureIMDS'] && !variables.azureOn ? 'the outlet ' + o + ' needs an identity of Entra' : '').filter(p, p != ''))
    + (variables.hostNetwork && size(variables.secretless) > 0 ?
      ['with hostNetwork everything on the node could use ' + variables.secretless.join(', ')
        + ', which need no secret: name others in the annotation wisp-sidecar.github.io/outlets'] : [])
    + variables.linkLocalProblems
    + ['wisp-run', 'wisp-tokens', 'wisp-empty'].filter(n, object.spec.?volumes.orValue([]).exists(v, v.name == n))
      .map(n, 'the Pod has a volume ' + n + ' of its own')
    + ['wisp', 'wisp-link-local'].filter(n, variables.containers.exists(c, c.container.name == n))
      .map(n, 'the Pod has a container ' + n + ' of its own')
    + variables.mountProblems
    + variables.bypassProblems
{{- end }}

{{/* A value as sentences show it: not all of a long one, and no line breaks, for which a refusal has no room. */}}
{{- define "wisp.cel.shown" -}}
({{ . }}.size() > 100 ? {{ . }}.substring(0, 100) + '…' : {{ . }}).replace('\n', ' ').replace('\r', ' ')
{{- end }}
