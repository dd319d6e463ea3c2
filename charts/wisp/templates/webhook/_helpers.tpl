{{- define "wisp.webhook.name" -}}
{{- printf "%s-webhook" (include "wisp.name" .) -}}
{{- end }}

{{/* Not both Pods on one node, if there is another: the values may say otherwise. */}}
{{- define "wisp.webhook.apart" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "wisp.selector" . | nindent 12 }}
{{- end }}

{{- define "wisp.webhook.secret" -}}
{{- if eq .Values.webhook.certificate.source "secret" -}}
{{- .Values.webhook.certificate.secretName -}}
{{- else -}}
{{- printf "%s-tls" (include "wisp.webhook.name" .) -}}
{{- end -}}
{{- end }}

{{- define "wisp.webhook.host" -}}
{{- printf "%s.%s.svc" (include "wisp.webhook.name" .) .Release.Namespace -}}
{{- end }}

{{/* What the webhook injects: the values, in the shape that `wisp inject --policy` takes as well. */}}
{{- define "wisp.webhook.policy" -}}
{{- dict
  "image" (include "wisp.image" .)
  "imagePullPolicy" .Values.image.pullPolicy
  "imagePullSecrets" .Values.image.pullSecrets
  "sidecar" .Values.sidecar
  "port" (int .Values.port)
  "healthPort" (int .Values.healthPort)
  "logLevel" .Values.logLevel
  "startupSeconds" (int .Values.startupSeconds)
  "linkLocal" .Values.linkLocal
  "resources" .Values.resources
  "env" .Values.env
  "aws" (dict "region" .Values.aws.region "audience" .Values.aws.audience "tokenExpiration" (int .Values.aws.tokenExpiration))
  "google" (dict "audience" .Values.google.audience "tokenAudience" .Values.google.tokenAudience "project" .Values.google.project
    "tokenExpiration" (int .Values.google.tokenExpiration))
  "azure" (dict "tenantId" .Values.azure.tenantId "authorityHost" .Values.azure.authorityHost "audience" .Values.azure.audience
    "tokenExpiration" (int .Values.azure.tokenExpiration))
  | toPrettyJson -}}
{{- end }}

{{/* What the certificate of source helm is for: the Service, and the host of the URL. */}}
{{- define "wisp.webhook.hosts" -}}
{{- include "wisp.webhook.host" . -}}
{{- with .Values.webhook.url -}}
{{- regexReplaceAll ":[0-9]+$" (urlParse .).host "" | trimPrefix "[" | trimSuffix "]" | printf ",%s" -}}
{{- end -}}
{{- end }}

{{/*
The certificate of source helm: that of the last time if it is for the same hosts, or a new one. Two templates need it,
and must get the same one; so it is kept in the values of this rendering.
*/}}
{{- define "wisp.webhook.certificate" -}}
{{- if not (hasKey .Values.webhook.certificate "made") -}}
{{- $hosts := include "wisp.webhook.hosts" . -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "wisp.webhook.secret" .) | default dict -}}
{{- $for := dig "metadata" "annotations" "wisp-sidecar.github.io/certificate-hosts" "" $secret -}}
{{- $data := $secret.data | default dict -}}
{{- if and (eq $for $hosts) (hasKey $data "tls.crt") (hasKey $data "tls.key") (hasKey $data "ca.crt") -}}
{{- $_ := set .Values.webhook.certificate "made" (dict "cert" (index $data "tls.crt") "key" (index $data "tls.key") "ca" (index $data "ca.crt")) -}}
{{- else -}}
{{- $days := 3650 -}}
{{- $names := list -}}
{{- $addresses := list -}}
{{- range splitList "," $hosts -}}
{{- if regexMatch "^[0-9.]+$|:" . -}}
{{- $addresses = append $addresses . -}}
{{- else -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- $ca := genCA (printf "%s CA" (first $names)) $days -}}
{{- $made := genSignedCert (first $names) $addresses $names $days $ca -}}
{{- $_ := set .Values.webhook.certificate "made" (dict "cert" ($made.Cert | b64enc) "key" ($made.Key | b64enc) "ca" ($ca.Cert | b64enc)) -}}
{{- end -}}
{{- end -}}
{{- .Values.webhook.certificate.made | toJson -}}
{{- end }}
