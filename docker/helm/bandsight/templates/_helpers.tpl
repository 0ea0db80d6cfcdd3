{{- define "bandsight.labels" -}}
app.kubernetes.io/name: bandsight
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "bandsight.selector" -}}
app.kubernetes.io/name: bandsight
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "bandsight.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "bandsight.secret" -}}
{{ .Values.secret.existing | default (printf "%s-bandsight" .Release.Name) }}
{{- end }}

{{/* What the pods of all components have in common. */}}
{{- define "bandsight.pod" -}}
serviceAccountName: {{ .Release.Name }}-bandsight
automountServiceAccountToken: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
volumes:
  - name: config
    configMap:
      name: {{ .Release.Name }}-bandsight
  - name: tmp
    emptyDir: {}
  - name: shm
    emptyDir:
      medium: Memory
      sizeLimit: 2Gi
  - name: models
    emptyDir: {}
  - name: scratch
{{- if .Values.scratch.storageClass }}
    ephemeral:
      volumeClaimTemplate:
        spec:
          accessModes: [ReadWriteOnce]
          storageClassName: {{ .Values.scratch.storageClass }}
          resources:
            requests:
              storage: {{ .Values.scratch.size }}
{{- else }}
    emptyDir:
      sizeLimit: {{ .Values.scratch.size }}
{{- end }}
{{- with .Values.scenes.claim }}
  - name: scenes
    persistentVolumeClaim:
      claimName: {{ . }}
      readOnly: true
{{- end }}
{{- end }}

{{/* What every container of our image has in common. */}}
{{- define "bandsight.container" -}}
image: {{ include "bandsight.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
envFrom:
  - secretRef:
      name: {{ include "bandsight.secret" . }}
volumeMounts:
  - name: config
    mountPath: /config
    readOnly: true
  - name: tmp
    mountPath: /tmp
  - name: shm
    mountPath: /dev/shm
  - name: models
    mountPath: /models
  - name: scratch
    mountPath: /archive
{{- if .Values.scenes.claim }}
  - name: scenes
    mountPath: /scenes
    readOnly: true
{{- end }}
{{- end }}

{{- define "bandsight.environment" -}}
- name: BANDSIGHT_ARCHIVE
  value: /config/archive.toml
{{- with .Values.archive.model }}
- name: BANDSIGHT_MODEL
  value: {{ . | quote }}
{{- end }}
{{- end }}
