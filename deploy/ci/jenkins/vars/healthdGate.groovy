// A gate as a step of a shared library: this folder is the library, by its commit (in Jenkins, Library Path
// `deploy/ci/jenkins`). It waits for the verdict, and the stage fails unless it is a pass. Nothing is installed: it is
// gate.sh, with bash and curl on the agent.
//
//   withCredentials([string(credentialsId: 'healthd-token', variable: 'HEALTHD_TOKEN')]) {
//     healthdGate(url: 'https://healthd.example.com', service: 'api', version: params.VERSION)
//   }
def call(Map given) {
  def script = '.healthd-gate.sh'
  writeFile(file: script, text: libraryResource('healthd/gate.sh'))
  def names = [url: 'HEALTHD_URL', service: 'SERVICE', version: 'VERSION', key: 'KEY', policy: 'POLICY', target: 'TARGET',
               baseline: 'BASELINE', baselineTarget: 'BASELINE_TARGET', lock: 'LOCK']
  def unknown = given.keySet() - names.keySet()
  if (unknown) {
    error("healthdGate: no such argument: ${unknown.join(', ')}; there are ${names.keySet().join(', ')}")
  }
  // The values go through the environment: within a script they would be a way to inject commands.
  withEnv(names.collect { name, variable -> "${variable}=${given[name] ?: ''}" }) {
    sh(label: "Gate of ${given.service} ${given.version}",
       script: 'bash .healthd-gate.sh "$SERVICE" "$VERSION" "${KEY:-$BUILD_TAG}" "$POLICY"')
  }
}
