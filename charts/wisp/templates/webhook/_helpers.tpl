{{- define "wisp.webhook.name" -}}
{{- printf "%s-webhook" (include "wisp.name" .) -}}
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

{{/*
The certificate of source helm: that of the last time, or a new one. Two templates need it, and must get the same one;
so it is kept in the values of this rendering.
*/}}
{{- define "wisp.webhook.certificate" -}}
{{- if not (hasKey .Values.webhook.certificate "made") -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "wisp.webhook.secret" .) -}}
{{- $data := ($secret | default dict).data | default dict -}}
{{- if and (hasKey $data "tls.crt") (hasKey $data "tls.key") (hasKey $data "ca.crt") -}}
{{- $_ := set .Values.webhook.certificate "made" (dict "cert" (index $data "tls.crt") "key" (index $data "tls.key") "ca" (index $data "ca.crt")) -}}
{{- else -}}
{{- $days := 3650 -}}
{{- $host := include "wisp.webhook.host" . -}}
{{- $names := list $host -}}
{{- $addresses := list -}}
{{- with .Values.webhook.url -}}
{{- $to := regexReplaceAll ":[0-9]+$" (urlParse .).host "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if regexMatch "^[0-9.]+$|:" $to -}}
{{- $addresses = list $to -}}
{{- else -}}
{{- $names = append $names $to -}}
{{- end -}}
{{- end -}}
{{- $ca := genCA (printf "%s CA" $host) $days -}}
{{- $made := genSignedCert $host $addresses $names $days $ca -}}
{{- $_ := set .Values.webhook.certificate "made" (dict "cert" ($made.Cert | b64enc) "key" ($made.Key | b64enc) "ca" ($ca.Cert | b64enc)) -}}
{{- end -}}
{{- end -}}
{{- .Values.webhook.certificate.made | toJson -}}
{{- end }}
