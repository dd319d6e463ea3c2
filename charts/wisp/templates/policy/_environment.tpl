{{/*
What leads the applications to the outlets, in CEL. The mutating policy and the one that warns share this: the former
knows outlets, port, awsRegion, googleProject, azureClient and linkLocal from annotations, the latter from the sidecar.
*/}}
{{- define "wisp.cel.environment" -}}
# Clouds that wisp has outlets for. A document may have any; its clients are not judged.
- name: awsLed
  expression: |-
    !variables.document && (variables.injected || variables.awsOn) && variables.outlets.exists(o, o in ['awsContainer', 'imds'])
- name: googleLed
  expression: |-
    !variables.document && (variables.injected || variables.googleOn) && variables.outlets.exists(o, o == 'gceMetadata')
- name: azureLed
  expression: |-
    !variables.document && (variables.injected || variables.azureOn) && variables.outlets.exists(o, o in ['appService', 'azureIMDS'])
# What leads to the outlets, by outlet, in the order in which it is added.
- name: leads
  expression: |-
    {
      'awsContainer': [
        {'name': 'AWS_CONTAINER_CREDENTIALS_FULL_URI', 'value': 'http://127.0.0.1:' + variables.port + '/aws/aws'},
        {'name': 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', 'value': '/run/wisp/secrets/aws'},
        {'name': 'AWS_EC2_METADATA_DISABLED', 'value': variables.linkLocal || 'imds' in variables.outlets ? '' : 'true'},
        {'name': 'AWS_REGION', 'value': variables.awsRegion},
        {'name': 'AWS_DEFAULT_REGION', 'value': variables.awsRegion}
      ],
      'imds': [
        {'name': 'AWS_EC2_METADATA_SERVICE_ENDPOINT', 'value': 'http://127.0.0.1:' + variables.port},
        {'name': 'AWS_EC2_METADATA_V1_DISABLED', 'value': 'true'},
        {'name': 'AWS_REGION', 'value': variables.awsRegion},
        {'name': 'AWS_DEFAULT_REGION', 'value': variables.awsRegion}
      ],
      'gceMetadata': [
        {'name': 'GCE_METADATA_HOST', 'value': '127.0.0.1:' + variables.port},
        {'name': 'GCE_METADATA_IP', 'value': '127.0.0.1:' + variables.port},
        {'name': 'GCE_METADATA_ROOT', 'value': '127.0.0.1:' + variables.port},
        {'name': 'GCE_METADATA_MTLS_MODE', 'value': 'none'},
        {'name': 'GOOGLE_CLOUD_PROJECT', 'value': variables.googleProject}
      ],
      'appService': [
        {'name': 'IDENTITY_ENDPOINT', 'value': 'http://127.0.0.1:' + variables.port + '/msi/token'},
        {'name': 'IDENTITY_HEADER', 'fieldPath': 'metadata.uid'},
        {'name': 'MSI_ENDPOINT', 'value': 'http://127.0.0.1:' + variables.port + '/msi/token'},
        {'name': 'MSI_SECRET', 'fieldPath': 'metadata.uid'},
        {'name': 'APPSETTING_WEBSITE_SITE_NAME', 'value': 'wisp'},
        {'name': 'AZURE_CLIENT_ID', 'value': variables.azureClient}
      ],
      'azureIMDS': [
        {'name': 'AZURE_POD_IDENTITY_AUTHORITY_HOST', 'value': 'http://127.0.0.1:' + variables.port},
        {'name': 'MSAL_MANAGED_IDENTITY_ENDPOINT', 'value': 'http://127.0.0.1:' + variables.port + '/metadata/identity/oauth2/token'},
        {'name': 'AZURE_CLIENT_ID', 'value': variables.azureClient}
      ]
    }.transformMap(outlet, leads, leads.filter(v, v.?value.orValue('x') != '').map(v, has(v.value) ? {'name': dyn(v.name), 'value': dyn(v.value)}
      : {'name': dyn(v.name), 'valueFrom': dyn({'fieldRef': {'fieldPath': v.fieldPath}})}))
- name: wanted
  expression: |-
    variables.outlets.map(o, variables.leads[?o].orValue([])).flatten().distinct()
- name: wantedWithoutEntra
  expression: |-
    variables.outlets.filter(o, !(o in ['appService', 'azureIMDS'])).map(o, variables.leads[?o].orValue([])).flatten().distinct()
# Variables with which clients do not ask wisp at all, of the clouds that wisp has outlets for.
- name: bypasses
  expression: |-
    variables.served.map(s, (
      (variables.awsLed ? ['AWS_WEB_IDENTITY_TOKEN_FILE'] : [])
      + (variables.googleLed ? ['GOOGLE_APPLICATION_CREDENTIALS'] : [])
      + (variables.azureLed && !(s.name in variables.notOfEntra) ? ['AZURE_FEDERATED_TOKEN_FILE'] : [])
    ).filter(name, name in s.names).map(name, {'container': string(s.name), 'variable': name})
    ).flatten()
{{- end }}
