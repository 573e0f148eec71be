/** Kubernetes' own schemas, and those of the Prometheus operator: what a cluster would refuse is refused here. */
import { PrometheusRule, ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'
import { Deployment } from 'kubernetes-models/apps/v1'
import { CronJob, Job } from 'kubernetes-models/batch/v1'
import { Ingress, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, Secret, Service, ServiceAccount } from 'kubernetes-models/v1'

const KINDS: Record<string, new (manifest: never) => { validate: () => void }> = {
  'apps/v1 Deployment': Deployment,
  'batch/v1 CronJob': CronJob,
  'batch/v1 Job': Job,
  'monitoring.coreos.com/v1 PrometheusRule': PrometheusRule,
  'monitoring.coreos.com/v1 ServiceMonitor': ServiceMonitor,
  'networking.k8s.io/v1 Ingress': Ingress,
  'networking.k8s.io/v1 NetworkPolicy': NetworkPolicy,
  'policy/v1 PodDisruptionBudget': PodDisruptionBudget,
  'v1 ConfigMap': ConfigMap,
  'v1 Secret': Secret,
  'v1 Service': Service,
  'v1 ServiceAccount': ServiceAccount
}

/** Throws with what is wrong with `manifest`, an unknown kind included. */
export function assertValid (manifest: { apiVersion: string, kind: string }): void {
  const kind = `${manifest.apiVersion} ${manifest.kind}`
  const Kind = KINDS[kind]
  if (!Kind) throw new Error(`no schema is known for ${kind}`)
  new Kind(manifest as never).validate()
}
