{{/*
The Pod's containers, in CEL, for the mutating policy and the one that warns. A variable can only use those before it.
*/}}
{{- define "wisp.cel.containers" -}}
# A Pod that has forgotten its containers has null there; to say so is left to the API server.
- name: ordinary
  expression: "object.spec.containers == null ? [] : object.spec.containers"
# What looks at every part of a Pod takes seconds if there are ten thousand, and if the API server stops it, then with words that
# help nobody. So there is a number, far from what Pods have, beyond which this is the only problem and nothing else is looked at.
- name: huge
  expression: |-
    (object.spec.?initContainers.orValue([]) + variables.ordinary).map(c, 4 + size(c.?env.orValue([])) + size(c.?volumeMounts.orValue([]))).sum()
    + size(object.spec.?volumes.orValue([])) > 5000
# Every container with its place in the Pod. Maps in CEL hold values of one type unless they say dyn.
- name: containers
  expression: |-
    variables.huge ? [] :
    object.spec.?initContainers.orValue([]).transformList(i, c, {'at': dyn('/spec/initContainers/' + string(i)), 'container': dyn(c)})
    + variables.ordinary.transformList(i, c, {'at': dyn('/spec/containers/' + string(i)), 'container': dyn(c)})
# The sidecar is known by its name and its tokens. It has been there before if `wisp inject` wrote the manifest, or if
# this is a second pass because something else has changed the Pod after the first one.
- name: sidecars
  expression: |-
    variables.containers.filter(c, c.container.name == 'wisp' && c.container.?volumeMounts.orValue([]).exists(m, m.name == 'wisp-tokens'))
- name: injected
  expression: size(variables.sidecars) > 0
# An ordinary container, which `wisp inject` can make too, is not there yet while init containers run.
- name: classic
  expression: variables.sidecars.exists(c, c.at.startsWith('/spec/containers/'))
# A Pod may bring a sidecar that nobody here has made: a list that is too long for wisp's is none.
- name: injectedOutlets
  expression: |-
    variables.sidecars.map(c, c.container.?env.orValue([])).flatten().filter(v, v.name == 'WISP_OUTLETS').map(v, v.?value.orValue(''))
    .filter(list, list.size() <= 1000).map(list, list.split(',').map(o, o.trim()).filter(o, o != '')).flatten().map(o, string(o))
# Where its outlets are, whatever these values say.
- name: injectedPort
  expression: |-
    variables.sidecars.map(c, c.container.?env.orValue([])).flatten().filter(v, v.name == 'WISP_PORT').map(v, string(v.?value.orValue('')))
    .filter(p, p.size() <= 5 && p.matches('^[1-9][0-9]{3,4}$') && int(p) >= 1024 && int(p) <= 65535)[?0].orValue('')
# Who is left out stands in annotations, which are not read at all if they are very long: what is done with long lists costs
# seconds, and no limit counts that. They are refused, see forms.
- name: skipped
  expression: |-
    [object.metadata.?annotations[?'wisp-sidecar.github.io/skip-containers'].orValue('')].filter(list, list.size() <= 2000)
    .map(list, list.replace(';', ',').split(',').map(n, n.trim())).flatten()
# Containers that get the environment and the mount. The names of their variables are looked up often, and in a list of names that
# costs a fifth of what it costs in a list of variables.
- name: served
  expression: |-
    variables.containers.filter(c, !(c.container.name in variables.skipped)
      && !(variables.injected && c.container.name in ['wisp', 'wisp-link-local'])
      && !(variables.classic && c.at.startsWith('/spec/initContainers/'))
    ).map(c, {'at': c.at, 'name': c.container.name, 'env': dyn(c.container.?env.orValue([])),
      'names': dyn(c.container.?env.orValue([]).map(v, v.name)), 'mounts': dyn(c.container.?volumeMounts.orValue([]))})
# These say to the injector of Azure that they want nothing to do with Entra.
- name: notOfEntra
  expression: |-
    [object.metadata.?annotations[?'azure.workload.identity/skip-containers'].orValue('')].filter(list, list.size() <= 2000)
    .map(list, list.split(';').map(n, n.trim())).flatten()
{{- end }}
