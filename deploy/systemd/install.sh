#!/usr/bin/env bash
# Installs healthd on a host with systemd, or upgrades it: a virtual environment in /opt/healthd, a configuration in
# /etc/healthd, and the unit. Run again with a newer wheel it upgrades; with an older one it goes back.
#
#   sudo ./install.sh healthd-0.1.0-py3-none-any.whl healthd-0.1.0.requirements.txt [PACKAGE…]
#
# Each run makes a new environment: name the packages that you add, such as extensions of yours, at each run.
# Both are files of a release: check them first (sha256sum --check SHA256SUMS). What healthd depends on comes from the
# package index of this host, each by the hash that the second file names. PYTHON names another interpreter than python3
# (3.11 or newer, with venv); PREFIX another root than /, and then systemd is not asked.
set -euo pipefail

wheel=${1:-} requirements=${2:-} root=${PREFIX:+$(realpath -ms -- "$PREFIX")} python=${PYTHON:-python3}
if [[ ! -f $wheel || $wheel != *.whl || ! -f $requirements ]]; then
  echo "usage: install.sh WHEEL REQUIREMENTS [PACKAGE…]" >&2
  exit 2
fi
if [[ -z $root && $EUID -ne 0 ]]; then
  echo "install.sh: it writes to /opt and /etc: run it as root" >&2
  exit 2
fi
"$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || {
  echo "install.sh: $python is older than 3.11, or has no venv (Debian: apt install python3-venv)" >&2
  exit 2
}

# The new environment is made beside the old one and then takes its place: a failure leaves what runs as it was.
new=$root/opt/healthd.new old=$root/opt/healthd.old home=$root/opt/healthd
rm -rf "$new"
trap 'rm -rf "$new"' EXIT
mkdir -p "$root/opt"
"$python" -m venv --prompt healthd "$new"
"$new/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$requirements"
"$new/bin/pip" install --quiet --disable-pip-version-check --no-deps "$wheel"
(($# <= 2)) || "$new/bin/pip" install --quiet --disable-pip-version-check "${@:3}"
"$new/bin/healthd" --version
config=$root/etc/healthd/config.yaml
if [[ -f $config ]]; then
  "$new/bin/healthd" config check --elsewhere "$config" # what runs now stays, if the new one does not take it
else
  install -d -m 0755 "$root/etc/healthd"
  "$new/bin/healthd" config example systemd-config > "$config"
  "$new/bin/healthd" config check --elsewhere "$config"
fi
"$new/bin/healthd" config example systemd > "$new/healthd.service"
# Every program in it, and `activate`, names the folder that it was made in.
grep -FIlZ -d skip -- "$new" "$new"/bin/* "$new/pyvenv.cfg" | xargs -0 sed -i "s|$new|/opt/healthd|g"
rm -rf "$old"
[[ ! -d $home ]] || mv "$home" "$old"
mv "$new" "$home"
install -D -m 0644 "$home/healthd.service" "$root/etc/systemd/system/healthd.service"
install -d "$root/usr/local/bin"
ln -sf /opt/healthd/bin/healthd /opt/healthd/bin/healthd-deploy "$root/usr/local/bin/"
if [[ -z $root ]]; then
  systemctl daemon-reload
  systemctl enable healthd
  systemctl restart healthd # not `reload`: the program is another one
  systemctl --no-pager --lines=0 status healthd
fi
echo "installed; the one before, if any, is in /opt/healthd.old"
