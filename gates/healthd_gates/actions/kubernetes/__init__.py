"""The kind `kubernetes`: a Service's selector, a Deployment's revision or an Argo Rollout goes back to the baseline.

`config` has the options, `action` carries it out. `kubeconfig`, `exec_plugin` and `proxies` find the way to the cluster
as kubectl does, `api` calls it. What to change is derived from the objects alone, in `service`, `revisions`, `argo` and
`progress`; `versions` reads the version off a pod template.
"""
