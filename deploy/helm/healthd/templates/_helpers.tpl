{{- /* The name of everything: the release's, which is "healthd" for `helm install healthd`. */ -}}
{{- define "healthd.name" -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "healthd.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "healthd.name" .) -}}
{{- end -}}

{{- /* app.kubernetes.io/name is what the alert rules call the job. */ -}}
{{- define "healthd.selector" -}}
app.kubernetes.io/name: healthd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "healthd.labels" -}}
{{ include "healthd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "healthd.image" -}}
{{- $repository := required "image.repository: say where your image is" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default (.Chart.AppVersion | replace "+" "_") }}
{{- end -}}
{{- end -}}
