{{/* Names: the release's, with wisp in it. Helm allows dots, which a Service's name may not have. */}}
{{- define "wisp.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- $name | replace "." "-" | trunc 50 | trimAll "-" -}}
{{- end }}

{{- define "wisp.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "wisp.selector" . }}
{{- end }}

{{- define "wisp.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* An image by digest, or by tag, which is the chart's appVersion unless the values say otherwise. */}}
{{- define "wisp.reference" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}
{{- define "wisp.image" -}}
{{- include "wisp.reference" (dict "image" .Values.image "root" .) -}}
{{- end }}

{{/*
A value as a string literal of CEL. JSON's escapes are CEL's too, and so are the bounds of the literal; what neither JSON
nor a block of YAML can show as it is, values.schema.json keeps out.
*/}}
{{- define "wisp.cel.string" -}}
{{- . | toString | toJson -}}
{{- end }}

{{/*
Which Pods: those with the label, outside of the namespaces without which nothing would start if this did not work.
*/}}
{{- define "wisp.selectors" -}}
objectSelector:
  matchLabels:
    wisp-sidecar.github.io/inject: "true"
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        - kube-system
        - kube-node-lease
        {{- if not (has .Release.Namespace (list "kube-system" "kube-node-lease")) }}
        - {{ .Release.Namespace }}
        {{- end }}
{{- end }}

{{/* A mirror Pod shows one that runs already, outside of the API server's reach. */}}
{{- define "wisp.not-mirror" -}}
- name: not-mirror
  expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
{{- end }}

{{- define "wisp.match-pods" -}}
matchConstraints:
  resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
  {{- include "wisp.selectors" . | nindent 2 }}
{{- end }}

{{/* What cannot work is refused here, in a sentence, and not later by the API server. */}}
{{- define "wisp.check" -}}
{{- if eq .Values.mode "policy" -}}
{{- if ne .Values.sidecar "native" -}}
{{- fail "mode: policy makes native sidecars only: set sidecar: native, or mode: webhook" -}}
{{- end -}}
{{- if semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version -}}
{{- fail (printf "mode: policy needs Kubernetes 1.36 or newer, and this is %s: set mode: webhook" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- /* Helm knows the kinds of a cluster that it speaks to, and none when it only renders. */ -}}
{{- if and (.Capabilities.APIVersions.Has "v1/Pod") (not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) -}}
{{- fail "mode: policy needs the API admissionregistration.k8s.io/v1 MutatingAdmissionPolicy, which this cluster does not serve: set mode: webhook" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.sidecar "native") (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "native sidecars need Kubernetes 1.29 or newer, and this is %s: set sidecar: classic" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if eq .Values.mode "webhook" -}}
{{- with .Values.webhook.certificate -}}
{{- if and (eq .source "secret") (or (not .secretName) (not .caBundle)) -}}
{{- fail "webhook.certificate.source: secret needs webhook.certificate.secretName and webhook.certificate.caBundle" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq (int .Values.port) (int .Values.healthPort) -}}
{{- fail (printf "port and healthPort are both %d" (int .Values.port)) -}}
{{- end -}}
{{- end }}
