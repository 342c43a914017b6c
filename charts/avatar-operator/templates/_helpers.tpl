{{/* Names and what all pods have. */}}
{{- define "avatar.fullname" -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains "avatar-operator" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-avatar-operator" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "avatar.selector" -}}
app.kubernetes.io/name: avatar-operator
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "avatar.labels" -}}
{{ include "avatar.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "avatar.image" -}}
{{- if .image.digest -}}{{ .image.repository }}@{{ .image.digest }}
{{- else -}}{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "avatar.ownImage" -}}
{{ include "avatar.image" (dict "root" . "image" .Values.image) }}
{{- end -}}

{{- define "avatar.gatewayUrl" -}}
http://{{ include "avatar.fullname" . }}-gateway.{{ .Release.Namespace }}.svc:8082
{{- end -}}

{{- define "avatar.linkSecret" -}}
{{ .Values.links.existingSecret | default (printf "%s-links" (include "avatar.fullname" .)) }}
{{- end -}}

{{- define "avatar.storeUrl" -}}
{{- if eq .Values.store.type "pvc" -}}/var/lib/avatar/store
{{- else -}}{{ required "store.url is needed for store.type url: s3://, gs:// or az://" .Values.store.url }}
{{- end -}}
{{- end -}}

{{- define "avatar.claim" -}}
{{ .Values.store.pvc.existingClaim | default (printf "%s-store" (include "avatar.fullname" .)) }}
{{- end -}}

{{/* "true" where the store is a volume of one node at a time. */}}
{{- define "avatar.onOneNode" -}}
{{- if and (eq .Values.store.type "pvc") (not (has "ReadWriteMany" .Values.store.pvc.accessModes)) -}}true{{- end -}}
{{- end -}}

{{- define "avatar.besideGateway" -}}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
  - topologyKey: kubernetes.io/hostname
    labelSelector:
      matchLabels: {{- include "avatar.selector" (dict "root" . "component" "gateway") | nindent 8 }}
{{- end -}}

{{/* Variables of whoever holds the store. */}}
{{- define "avatar.storeEnv" -}}
- name: AVATAR_STORE
  value: {{ include "avatar.storeUrl" . | quote }}
{{- with .Values.store.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "avatar.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "avatar.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where and with what a pod of ours is scheduled: of .part of the values. */}}
{{- define "avatar.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "avatar.token" -}}
- name: token
  projected:
    sources:
    - serviceAccountToken: {path: gateway, audience: gateway.avatars.dev, expirationSeconds: 3600}
{{- end -}}

{{/* Replicas on different nodes, where there are several. */}}
{{- define "avatar.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "avatar.selector" . | nindent 6 }}
{{- end -}}

{{/* OpenTelemetry's own variables. Values of an earlier version, as --reuse-values keeps them, lack `telemetry`. */}}
{{- define "avatar.telemetryEnv" -}}
{{- with .Values.telemetry }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
{{- with .headersSecret }}
- {name: OTEL_EXPORTER_OTLP_HEADERS, valueFrom: {secretKeyRef: {name: {{ . }}, key: headers}}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
