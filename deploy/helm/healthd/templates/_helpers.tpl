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

{{- /* The file: the probes and the Service come to the pod's own address, where the daemon does not listen by itself. */ -}}
{{- define "healthd.config" -}}
{{- toYaml (mergeOverwrite (dict "http" (dict "listen" "0.0.0.0:8080")) .Values.config) -}}
{{- end -}}

{{- /* What renders and then cannot work. */ -}}
{{- define "healthd.refusals" -}}
{{- $config := .Values.config | default dict -}}
{{- with ($config.http | default dict).listen -}}
{{- $listen := toString . -}}
{{- $isUnknown := hasSuffix "}" $listen -}}{{- /* a variable, with the port perhaps */ -}}
{{- if or (not (or $isUnknown (hasSuffix ":8080" $listen))) (regexMatch "^(localhost|127[.].*|\\[::1\\]):8080$" $listen) -}}
{{- fail (printf "config.http.listen: the probes and the Service come to port 8080 of the pod, and not to %s: leave it away" $listen) -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- if .Values.persistence.enabled -}}
{{- fail "persistence: a file has one writer; several replicas share a journal in PostgreSQL" -}}
{{- end -}}
{{- $from := list -}}
{{- range .Values.env -}}{{- $from = append $from .name -}}{{- end -}}
{{- $shared := or .Values.secret.name (has "JOURNAL_URI" $from) -}}
{{- if $config -}}
{{- $journal := toString ($config.journal | default "") -}}
{{- $shared = and $journal (not (hasPrefix "sqlite" $journal)) -}}
{{- end -}}
{{- if not $shared -}}
{{- fail "replicas: several share a journal in PostgreSQL, or each has gates and quarantines of its own: put JOURNAL_URI into the Secret that `secret.name` names, and `journal: ${JOURNAL_URI}` into `config`" -}}
{{- end -}}
{{- end -}}
{{- end -}}
