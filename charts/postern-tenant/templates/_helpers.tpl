{{/* Name of everything in the release. */}}
{{- define "tenant.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "tenant.selectorLabels" -}}
app.kubernetes.io/name: postern-mta
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: mta
{{- end }}

{{- define "tenant.labels" -}}
{{ include "tenant.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: postern
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tenant.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ printf "%s@%s" .repository .digest }}{{- else -}}{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}{{- end -}}
{{- end -}}
{{- end }}

{{- define "tenant.heloName" -}}
{{- required "settings.heloName is required: the name in the greeting, such as mx.example.com" .Values.settings.heloName -}}
{{- end }}

{{/* Secret with the certificate; empty: no TLS. */}}
{{- define "tenant.tlsSecret" -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.secretName -}}
{{- fail "tls: set secretName or certManager.enabled, not both" -}}
{{- end -}}
{{- if .Values.tls.certManager.enabled -}}
{{- printf "%s-tls" (include "tenant.fullname" .) -}}
{{- else -}}
{{- .Values.tls.secretName -}}
{{- end -}}
{{- end }}

{{/* "true" if accounts may submit mail. */}}
{{- define "tenant.submission" -}}
{{- if .Values.submission.enabled -}}
{{- if not (include "tenant.tlsSecret" .) -}}
{{- fail "submission.enabled needs a certificate: set tls.secretName or tls.certManager; passwords are never taken in clear text" -}}
{{- end -}}
true
{{- end -}}
{{- end }}

{{- define "tenant.listen" -}}
{{- if contains ":" .Values.listenAddress -}}[{{ .Values.listenAddress }}]{{- else -}}{{ .Values.listenAddress }}{{- end -}}
{{- end }}

{{- define "tenant.serviceAccountName" -}}
{{- default (include "tenant.fullname" .) .Values.serviceAccountName -}}
{{- end }}
