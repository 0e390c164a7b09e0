"""The kind `kubernetes`: a Service's selector, a Deployment's revision or an Argo Rollout goes back to the baseline.

`config` is what it can be told, `action` carries it out. `kubeconfig`, `exec_plugin` and `proxies` find the way to the
cluster as kubectl does, `api` asks it. What there is to change is told from the objects alone, in `service`,
`revisions`, `argo` and `progress`; `versions` tells from a pod template which version it is.
"""
