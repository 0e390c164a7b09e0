// The application as PM2 runs it. `healthd-deploy host release` reloads it: new instances take over from old ones.
module.exports = {
  apps: [
    {
      name: "api",
      cwd: "/srv/api/current", // the link: every instance runs from the release that it points to when it starts
      script: "server.js",
      exec_mode: "cluster", // in fork mode a reload would stop the application first
      instances: 2,
      wait_ready: true, // an instance counts once it calls process.send("ready")
      listen_timeout: 30000, // for as long, in ms
      kill_timeout: 10000, // what is in hand when it is told to end (SIGINT) has as long, in ms
      env: {
        NODE_ENV: "production",
        PORT: "3000",
      },
    },
  ],
};
