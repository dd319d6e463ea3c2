{{/*
What is done to the Pod, in CEL: a list of {path, value}, each a JSON Patch operation "add". Typed values (Object.spec…)
can only be built in the mutation itself; these are maps, for two reasons: they can have names, and what a user gets
to read when an expression fails is the whole of it, which is one line this way. Values of several types in one
map have to say dyn. What is misspelled here, the API server refuses as soon as a Pod has it, and the tests do before.
*/}}
{{- define "wisp.cel.additions" -}}
# New lists for the containers that lack something: what is in the old ones stays as it is, but for the one value that
# is changed, NO_PROXY.
- name: environments
  expression: |-
    variables.served.map(s, {'path': dyn(s.at + '/env'), 'old': s.env, 'value': dyn(
      (!('NO_PROXY' in s.names) && !('no_proxy' in s.names) ? s.env : s.env.map(v,
        v.name in ['NO_PROXY', 'no_proxy'] && v.?value.orValue('') != '' && !v.value.matches('(^|,)[ \t]*127[.]0[.]0[.]1[ \t]*(,|$)') ?
        {'name': dyn(v.name), 'value': dyn(v.value + ',127.0.0.1,localhost')} : v))
      + (s.name in variables.notOfEntra ? variables.wantedWithoutEntra : variables.wanted).filter(w, !(w.name in s.names))
      + [['NO_PROXY', 'HTTP_PROXY', 'HTTPS_PROXY'], ['no_proxy', 'http_proxy', 'https_proxy']]
        .filter(p, !(p[0] in s.names) && (p[1] in s.names || p[2] in s.names))
        .map(p, {'name': dyn(p[0]), 'value': dyn('127.0.0.1,localhost')})
    )}).filter(e, e.old != e.value)
- name: mounts
  expression: |-
    variables.served.filter(s, !s.mounts.exists(m, m.name == 'wisp-run' && m.mountPath in ['/run/wisp', '/run/wisp/']))
    .map(s, {'path': dyn(s.at + '/volumeMounts'),
      'value': dyn(s.mounts + [{'name': dyn('wisp-run'), 'mountPath': dyn('/run/wisp'), 'readOnly': dyn(true)}])})
- name: tokenSources
  expression: |-
    (
      variables.document ? variables.tokens.map(t, {
        'path': dyn(t.substring(0, t.indexOf('='))), 'audience': dyn(t.substring(t.indexOf('=') + 1)),
        'expirationSeconds': dyn(variables.given.expiration.value != '' ? int(variables.given.expiration.value) : 3600)
      }) :
      (variables.awsOn ? [{'path': dyn('aws'), 'audience': dyn(variables.awsAudience), 'expirationSeconds': dyn(variables.awsExpiration)}] : [])
      + (variables.googleOn ? [{'path': dyn('google'), 'audience': dyn(variables.googleTokenAudience), 'expirationSeconds': dyn(variables.googleExpiration)}] : [])
      + (variables.azureOn ? [{'path': dyn('azure'), 'audience': dyn({{ include "wisp.cel.string" .Values.azure.audience }}), 'expirationSeconds': dyn(variables.azureExpiration)}] : [])
    ).map(t, {'serviceAccountToken': dyn(t)})
    + (!variables.document ? [] : [{'downwardAPI': dyn({'items': [
      {'path': dyn('wisp.yaml'), 'fieldRef': dyn({'fieldPath': "metadata.annotations['wisp-sidecar.github.io/config']"})}
    ]})}])
- name: volumes
  expression: |-
    [
      {'name': dyn('wisp-tokens'), 'projected': dyn({'sources': variables.tokenSources})},
      {'name': dyn('wisp-run'), 'emptyDir': dyn({'medium': 'Memory', 'sizeLimit': '1Mi'})},
      {'name': dyn('wisp-empty'), 'emptyDir': dyn({'medium': 'Memory', 'sizeLimit': '1Mi'})}
    ]
# The sidecar's variables, those without a value left out; IDENTITY_HEADER, which is the Pod's uid, comes between.
- name: sidecarSettings
  expression: |-
    [
      ['WISP_SHARED', '/run/wisp'],
      ['WISP_PORT', variables.port],
      ['WISP_HEALTH_PORT', variables.healthPort],
      ['WISP_LOG_LEVEL', variables.given.logLevel.value != '' ? variables.given.logLevel.value : {{ include "wisp.cel.string" .Values.logLevel }}],
      ['WISP_OUTLETS', variables.outlets.join(',')],
      ['WISP_LINK_LOCAL', variables.linkLocal ? 'true' : '']
    ].filter(v, v[1] != '')
- name: sidecarIdentity
  expression: |-
    (
      (!variables.awsOn ? [] : [
        ['AWS_ROLE_ARN', variables.given.awsRole.value],
        ['AWS_WEB_IDENTITY_TOKEN_FILE', '/var/run/secrets/wisp/aws'],
        ['AWS_REGION', variables.awsRegion],
        ['AWS_STS_REGIONAL_ENDPOINTS', variables.given.awsRegionalEndpoints.value == 'false' ? 'legacy' : '']
      ])
      + (!variables.googleOn ? [] : [
        ['WISP_GOOGLE_AUDIENCE', variables.googleProvider],
        ['WISP_GOOGLE_TOKEN_FILE', '/var/run/secrets/wisp/google'],
        ['WISP_GOOGLE_SERVICE_ACCOUNT', variables.given.googleAccount.value],
        ['GOOGLE_CLOUD_QUOTA_PROJECT', variables.given.googleQuotaProject.value],
        ['GOOGLE_CLOUD_PROJECT', {{ include "wisp.cel.string" .Values.google.project }}]
      ])
      + (!variables.azureOn ? [] : [
        ['AZURE_CLIENT_ID', variables.azureClient],
        ['AZURE_TENANT_ID', variables.azureTenant],
        ['AZURE_FEDERATED_TOKEN_FILE', '/var/run/secrets/wisp/azure'],
        ['AZURE_AUTHORITY_HOST', {{ include "wisp.cel.string" .Values.azure.authorityHost }}]
      ])
    ).filter(v, v[1] != '')
    {{- with .Values.env }}
    + [{{ range $i, $v := . }}{{ if $i }}, {{ end }}[{{ include "wisp.cel.string" $v.name }}, {{ include "wisp.cel.string" $v.value }}]{{ end }}]
    {{- end }}
- name: requests
  expression: |-
    {{ include "wisp.cel.resources" (dict "values" .Values.resources.requests "cpu" "requestsCPU" "memory" "requestsMemory") }}
- name: limits
  expression: |-
    {{ include "wisp.cel.resources" (dict "values" .Values.resources.limits "cpu" "limitsCPU" "memory" "limitsMemory") }}
# Those of the Pod and its node, which are one if the Pod is in the node's network.
- name: addresses
  expression: |-
    [
      {'name': dyn('WISP_POD_IP'), 'valueFrom': dyn({'fieldRef': {'fieldPath': 'status.podIP'}})},
      {'name': dyn('WISP_HOST_IP'), 'valueFrom': dyn({'fieldRef': {'fieldPath': 'status.hostIP'}})}
    ]
- name: sidecar
  expression: |-
    {
      'name': dyn('wisp'),
      {{- include "wisp.cel.image" . | nindent 6 }}
      'args': dyn(variables.document ? ['run', '--config', '/var/run/secrets/wisp/wisp.yaml'] : ['run']),
      'restartPolicy': dyn('Always'),
      'env': dyn(
        variables.addresses
        + variables.sidecarSettings.map(v, {'name': dyn(v[0]), 'value': dyn(v[1])})
        + ('appService' in variables.outlets ? [
          {'name': dyn('IDENTITY_HEADER'), 'valueFrom': dyn({'fieldRef': {'fieldPath': 'metadata.uid'}})}
        ] : [])
        + variables.sidecarIdentity.map(v, {'name': dyn(v[0]), 'value': dyn(v[1])})
      ),
      'startupProbe': dyn({
        'httpGet': dyn({'path': dyn('/startupz'), 'port': dyn(int(variables.healthPort))}),
        'periodSeconds': dyn(1), 'failureThreshold': dyn({{ int .Values.startupSeconds }})
      }),
      'livenessProbe': dyn({
        'httpGet': dyn({'path': dyn('/livez'), 'port': dyn(int(variables.healthPort))}),
        'periodSeconds': dyn(10), 'failureThreshold': dyn(6)
      }),
      'resources': dyn({'requests': variables.requests, 'limits': variables.limits}),
      'securityContext': dyn({
        'allowPrivilegeEscalation': dyn(false), 'readOnlyRootFilesystem': dyn(true),
        'runAsNonRoot': dyn(true), 'runAsUser': dyn(65532), 'runAsGroup': dyn(65532),
        'capabilities': dyn({'drop': ['ALL']}), 'seccompProfile': dyn({'type': 'RuntimeDefault'})
      }),
      'terminationMessagePolicy': dyn('FallbackToLogsOnError'),
      'volumeMounts': dyn([
        {'name': dyn('wisp-tokens'), 'mountPath': dyn('/var/run/secrets/wisp'), 'readOnly': dyn(true)},
        {'name': dyn('wisp-run'), 'mountPath': dyn('/run/wisp')},
        {'name': dyn('wisp-empty'), 'mountPath': dyn('/var/run/secrets/kubernetes.io/serviceaccount'), 'readOnly': dyn(true)}
      ])
    }
- name: linkLocalContainer
  expression: |-
    {
      'name': dyn('wisp-link-local'),
      {{- include "wisp.cel.image" . | nindent 6 }}
      'args': dyn(['link-local']),
      'env': dyn(variables.addresses),
      'resources': dyn({'requests': variables.requests, 'limits': variables.limits}),
      'securityContext': dyn({
        'allowPrivilegeEscalation': dyn(false), 'readOnlyRootFilesystem': dyn(true),
        'runAsNonRoot': dyn(false), 'runAsUser': dyn(0), 'runAsGroup': dyn(0),
        'capabilities': dyn({'drop': ['ALL'], 'add': ['NET_ADMIN']}), 'seccompProfile': dyn({'type': 'RuntimeDefault'})
      }),
      'terminationMessagePolicy': dyn('FallbackToLogsOnError'),
      'volumeMounts': dyn([
        {'name': dyn('wisp-empty'), 'mountPath': dyn('/var/run/secrets/kubernetes.io/serviceaccount'), 'readOnly': dyn(true)}
      ])
    }
- name: linkLocalOperations
  expression: |-
    [{'path': dyn('/spec/initContainers/0'), 'value': dyn(variables.linkLocalContainer)}]
    + (has(object.spec.securityContext) ? [] : [{'path': dyn('/spec/securityContext'), 'value': dyn({})}])
    + [object.spec.?securityContext.?sysctls.orValue([])].filter(list, !list.exists(s, s.name == 'net.ipv4.ip_unprivileged_port_start'))
      .map(list, {'path': dyn('/spec/securityContext/sysctls'),
        'value': dyn(list + [{'name': 'net.ipv4.ip_unprivileged_port_start', 'value': '80'}])})
    + [object.spec.?hostAliases.orValue([])].filter(list, variables.googleOn && !list.exists(a, a.ip == '169.254.169.254'))
      .map(list, {'path': dyn('/spec/hostAliases'),
        'value': dyn(list + [{'ip': dyn('169.254.169.254'), 'hostnames': dyn(['metadata.google.internal', 'metadata'])}])})
# Cut, since all annotations of a Pod have 256 KiB. The message that the next policy makes of it has less.
- name: refusal
  expression: |-
    ['wisp cannot be injected: ' + variables.problems.join('; ')].map(r, r.size() > 10000 ? r.substring(0, 10000) : r)[0]
# A policy has no words of its own for a refusal: the reasons become an annotation, with which the next policy refuses.
# Else environments and mounts come first: once the sidecar stands at the head of the init containers, theirs have other places.
- name: operations
  expression: |-
    size(variables.problems) > 0 ? (has(object.metadata.annotations) ? [] : [{'path': dyn('/metadata/annotations'), 'value': dyn({})}])
      + [{'path': dyn('/metadata/annotations/wisp-sidecar.github.io~1refused'), 'value': dyn(variables.refusal)}] :
    variables.environments + variables.mounts + (variables.injected ? [] :
      [{'path': dyn('/spec/volumes'), 'value': dyn(object.spec.?volumes.orValue([]) + variables.volumes)}]
      {{- with .Values.image.pullSecrets }}
      + [object.spec.?imagePullSecrets.orValue([])].map(list, {'path': dyn('/spec/imagePullSecrets'), 'value': dyn(list
        + [{{ range $i, $s := . }}{{ if $i }}, {{ end }}{{ include "wisp.cel.string" $s }}{{ end }}]
        .filter(n, !list.exists(s, s.?name.orValue('') == n)).map(n, {'name': n}))})
      {{- end }}
      + (has(object.spec.initContainers) ? [] : [{'path': dyn('/spec/initContainers'), 'value': dyn([])}])
      + [{'path': dyn('/spec/initContainers/0'), 'value': dyn(variables.sidecar)}]
      + (variables.linkLocal ? variables.linkLocalOperations : [])
    )
{{- end }}

{{- define "wisp.cel.image" -}}
'image': dyn({{ include "wisp.cel.string" (include "wisp.image" .) }}),
{{- with .Values.image.pullPolicy }}
'imagePullPolicy': dyn({{ include "wisp.cel.string" . }}),
{{- end }}
{{- end }}

{{- define "wisp.cel.resources" -}}
{
      ?'cpu': optional.ofNonZeroValue(variables.given.{{ .cpu }}.value).or(optional.ofNonZeroValue({{ include "wisp.cel.string" (.values.cpu | default "") }})),
      ?'memory': optional.ofNonZeroValue(variables.given.{{ .memory }}.value).or(optional.ofNonZeroValue({{ include "wisp.cel.string" (.values.memory | default "") }}))
    }
{{- end }}
