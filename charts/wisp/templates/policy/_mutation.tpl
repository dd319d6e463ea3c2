{{/*
What is done to the Pod, in CEL. Typed values (Object.spec…) can only be built in the patch itself, not in variables;
so variables hold plain values, and the patch puts them together.
*/}}
{{- define "wisp.cel.additions" -}}
# New lists for the containers that lack something. The only value that is changed is NO_PROXY.
- name: environments
  expression: |-
    variables.served.map(s, {'at': dyn(s.at), 'old': dyn(s.container.?env.orValue([])),
      'wanted': dyn(s.container.name in variables.notOfEntra ? variables.wantedWithoutEntra : variables.wanted)
    }).map(s, {'at': dyn(s.at), 'old': s.old, 'new': dyn(
      s.old.map(v, v.name in ['NO_PROXY', 'no_proxy'] && v.?value.orValue('') != '' && !v.value.split(',').exists(h, h.trim() == '127.0.0.1') ?
        {'name': dyn(v.name), 'value': dyn(v.value + ',127.0.0.1,localhost')} : v)
      + s.wanted.filter(w, !s.old.exists(v, v.name == w.name))
      + [['NO_PROXY', 'HTTP_PROXY', 'HTTPS_PROXY'], ['no_proxy', 'http_proxy', 'https_proxy']]
        .filter(p, !s.old.exists(v, v.name == p[0]) && s.old.exists(v, v.name in [p[1], p[2]]))
        .map(p, {'name': dyn(p[0]), 'value': dyn('127.0.0.1,localhost')})
    )}).filter(s, s.old != s.new)
- name: unmounted
  expression: |-
    variables.served.map(s, {'at': dyn(s.at), 'mounts': dyn(s.container.?volumeMounts.orValue([]))})
    .filter(s, !s.mounts.exists(m, m.name == 'wisp-run' && m.mountPath in ['/run/wisp', '/run/wisp/']))
- name: tokenSources
  expression: |-
    variables.document ? variables.tokens.map(t, {
      'path': dyn(t.substring(0, t.indexOf('='))), 'audience': dyn(t.substring(t.indexOf('=') + 1)),
      'expirationSeconds': dyn(variables.given.expiration.value != '' ? int(variables.given.expiration.value) : 3600)
    }) :
    (variables.awsOn ? [{'path': dyn('aws'), 'audience': dyn(variables.awsAudience), 'expirationSeconds': dyn(variables.awsExpiration)}] : [])
    + (variables.googleOn ? [{'path': dyn('google'), 'audience': dyn(variables.googleTokenAudience), 'expirationSeconds': dyn(variables.googleExpiration)}] : [])
    + (variables.azureOn ? [{'path': dyn('azure'), 'audience': dyn({{ include "wisp.cel.string" .Values.azure.audience }}), 'expirationSeconds': dyn(variables.azureExpiration)}] : [])
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
{{- end }}

{{- define "wisp.cel.resources" -}}
{
      ?'cpu': optional.ofNonZeroValue(variables.given.{{ .cpu }}.value).or(optional.ofNonZeroValue({{ include "wisp.cel.string" (.values.cpu | default "") }})),
      ?'memory': optional.ofNonZeroValue(variables.given.{{ .memory }}.value).or(optional.ofNonZeroValue({{ include "wisp.cel.string" (.values.memory | default "") }}))
    }
{{- end }}

{{/*
The patch. Environments and mounts come first: once the sidecar stands at the head of the init containers, theirs have
other places. Lists are replaced by longer ones: what is in them stays as it is.
*/}}
{{- define "wisp.cel.patch" -}}
variables.environments.map(s, JSONPatch{op: 'add', path: s.at + '/env', value: s.new})
+ variables.unmounted.map(s, JSONPatch{op: 'add', path: s.at + '/volumeMounts', value:
  s.mounts + [{'name': dyn('wisp-run'), 'mountPath': dyn('/run/wisp'), 'readOnly': dyn(true)}]})
+ (variables.injected ? [] : [
  JSONPatch{op: 'add', path: '/spec/volumes', value: object.spec.?volumes.orValue([]).map(v, dyn(v)) + [
    dyn(Object.spec.volumes{
      name: 'wisp-tokens',
      projected: Object.spec.volumes.projected{
        sources: variables.tokenSources.map(t, Object.spec.volumes.projected.sources{
          serviceAccountToken: Object.spec.volumes.projected.sources.serviceAccountToken{
            path: t.path, audience: t.audience, expirationSeconds: t.expirationSeconds
          }
        }) + (!variables.document ? [] : [Object.spec.volumes.projected.sources{
          downwardAPI: Object.spec.volumes.projected.sources.downwardAPI{
            items: [Object.spec.volumes.projected.sources.downwardAPI.items{
              path: 'wisp.yaml',
              fieldRef: Object.spec.volumes.projected.sources.downwardAPI.items.fieldRef{
                fieldPath: "metadata.annotations['wisp-sidecar.github.io/config']"
              }
            }]
          }
        }])
      }
    }),
    dyn(Object.spec.volumes{name: 'wisp-run', emptyDir: Object.spec.volumes.emptyDir{medium: 'Memory', sizeLimit: '1Mi'}}),
    dyn(Object.spec.volumes{name: 'wisp-empty', emptyDir: Object.spec.volumes.emptyDir{medium: 'Memory', sizeLimit: '1Mi'}})
  ]},
  {{- with .Values.image.pullSecrets }}
  JSONPatch{op: 'add', path: '/spec/imagePullSecrets', value: object.spec.?imagePullSecrets.orValue([]).map(s, dyn(s))
    + [{{ range $i, $s := . }}{{ if $i }}, {{ end }}{{ include "wisp.cel.string" $s }}{{ end }}]
      .filter(n, !object.spec.?imagePullSecrets.orValue([]).exists(s, s.?name.orValue('') == n)).map(n, dyn({'name': n}))},
  {{- end }}
] + (has(object.spec.initContainers) ? [] : [JSONPatch{op: 'add', path: '/spec/initContainers', value: []}]) + [
  JSONPatch{op: 'add', path: '/spec/initContainers/0', value: {{ include "wisp.cel.sidecar" . | indent 2 | trim }}}
])
+ (variables.injected || !variables.linkLocal ? [] : [
  JSONPatch{op: 'add', path: '/spec/initContainers/0', value: {{ include "wisp.cel.link-local" . | indent 2 | trim }}}
] + (object.spec.?securityContext.hasValue() ? [] : [JSONPatch{op: 'add', path: '/spec/securityContext', value: Object.spec.securityContext{}}])
  + (object.spec.?securityContext.?sysctls.orValue([]).exists(s, s.name == 'net.ipv4.ip_unprivileged_port_start') ? [] : [
  JSONPatch{op: 'add', path: '/spec/securityContext/sysctls', value: object.spec.?securityContext.?sysctls.orValue([]).map(s, dyn(s))
    + [dyn({'name': 'net.ipv4.ip_unprivileged_port_start', 'value': '80'})]}
]) + (!variables.googleOn || object.spec.?hostAliases.orValue([]).exists(a, a.?ip.orValue('') == '169.254.169.254') ? [] : [
  JSONPatch{op: 'add', path: '/spec/hostAliases', value: object.spec.?hostAliases.orValue([]).map(a, dyn(a))
    + [dyn({'ip': dyn('169.254.169.254'), 'hostnames': dyn(['metadata.google.internal', 'metadata'])})]}
]))
{{- end }}

{{- define "wisp.cel.sidecar" -}}
Object.spec.initContainers{
  name: 'wisp',
  image: {{ include "wisp.cel.string" (include "wisp.image" .) }},
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ include "wisp.cel.string" . }},
  {{- end }}
  args: variables.document ? ['run', '--config', '/var/run/secrets/wisp/wisp.yaml'] : ['run'],
  restartPolicy: 'Always',
  env: [
    Object.spec.initContainers.env{name: 'WISP_POD_IP', valueFrom: Object.spec.initContainers.env.valueFrom{
      fieldRef: Object.spec.initContainers.env.valueFrom.fieldRef{fieldPath: 'status.podIP'}}},
    Object.spec.initContainers.env{name: 'WISP_HOST_IP', valueFrom: Object.spec.initContainers.env.valueFrom{
      fieldRef: Object.spec.initContainers.env.valueFrom.fieldRef{fieldPath: 'status.hostIP'}}}
  ]
  + variables.sidecarSettings.map(v, Object.spec.initContainers.env{name: v[0], value: v[1]})
  + ('appService' in variables.outlets ? [
    Object.spec.initContainers.env{name: 'IDENTITY_HEADER', valueFrom: Object.spec.initContainers.env.valueFrom{
      fieldRef: Object.spec.initContainers.env.valueFrom.fieldRef{fieldPath: 'metadata.uid'}}}
  ] : [])
  + variables.sidecarIdentity.map(v, Object.spec.initContainers.env{name: v[0], value: v[1]}),
  startupProbe: Object.spec.initContainers.startupProbe{
    httpGet: Object.spec.initContainers.startupProbe.httpGet{path: '/startupz', port: int(variables.healthPort)},
    periodSeconds: 1, failureThreshold: {{ int .Values.startupSeconds }}
  },
  livenessProbe: Object.spec.initContainers.livenessProbe{
    httpGet: Object.spec.initContainers.livenessProbe.httpGet{path: '/livez', port: int(variables.healthPort)},
    periodSeconds: 10, failureThreshold: 6
  },
  resources: Object.spec.initContainers.resources{requests: variables.requests, limits: variables.limits},
  securityContext: Object.spec.initContainers.securityContext{
    allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532,
    capabilities: Object.spec.initContainers.securityContext.capabilities{drop: ['ALL']},
    seccompProfile: Object.spec.initContainers.securityContext.seccompProfile{type: 'RuntimeDefault'}
  },
  terminationMessagePolicy: 'FallbackToLogsOnError',
  volumeMounts: [
    Object.spec.initContainers.volumeMounts{name: 'wisp-tokens', mountPath: '/var/run/secrets/wisp', readOnly: true},
    Object.spec.initContainers.volumeMounts{name: 'wisp-run', mountPath: '/run/wisp'},
    Object.spec.initContainers.volumeMounts{name: 'wisp-empty', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true}
  ]
}
{{- end }}

{{- define "wisp.cel.link-local" -}}
Object.spec.initContainers{
  name: 'wisp-link-local',
  image: {{ include "wisp.cel.string" (include "wisp.image" .) }},
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ include "wisp.cel.string" . }},
  {{- end }}
  args: ['link-local'],
  resources: Object.spec.initContainers.resources{requests: variables.requests, limits: variables.limits},
  securityContext: Object.spec.initContainers.securityContext{
    allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: false, runAsUser: 0, runAsGroup: 0,
    capabilities: Object.spec.initContainers.securityContext.capabilities{drop: ['ALL'], add: ['NET_ADMIN']},
    seccompProfile: Object.spec.initContainers.securityContext.seccompProfile{type: 'RuntimeDefault'}
  },
  terminationMessagePolicy: 'FallbackToLogsOnError',
  volumeMounts: [
    Object.spec.initContainers.volumeMounts{name: 'wisp-empty', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true}
  ]
}
{{- end }}
