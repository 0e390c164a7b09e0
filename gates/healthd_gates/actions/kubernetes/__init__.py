"""The kind `kubernetes`: a Service's selector, a Deployment's revision or an Argo Rollout goes back to the baseline.

`config` has the options, `action` carries it out through `healthd.kubernetes`. What to change is derived from the
objects alone, in `service`, `revisions` and `argo`; `versions` reads the version off a pod template.
"""
