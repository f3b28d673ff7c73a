/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include "sys/cgname.h"
#include "test.h"

#define C "9f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a6153"
#define D "11ab22cd33ef44551122334455667788990011aabbccddeeff00112233445566"
#define C63 "9f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a615"
#define U "1f0e7a3c-55d2-4a8b-9c1d-0123456789ab"
#define V "1f0e7a3c_55d2_4a8b_9c1d_0123456789ab"
#define H "0123456789abcdef0123456789abcdef" /* a static pod's */
#define POD_U " pod=" U
#define POD_H " pod=" H
#define GUARANTEED " qos=Guaranteed"
#define BURSTABLE " qos=Burstable"
#define BESTEFFORT " qos=BestEffort"
/* Systemd driver: the slices that a pod implies. */
#define SB "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" V ".slice"
#define SE "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" V ".slice"
#define SG "/kubepods.slice/kubepods-pod" V ".slice"
#define XB                                                                                                        \
	"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" V \
	".slice"
#define USER "/user.slice/user-1000.slice/user@1000.service"
#define LONG \
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx" /* 128 */
#define DEEP5 "/a/b/c/d/e"
#define DEEP20 DEEP5 DEEP5 DEEP5 DEEP5

struct row {
	const char *path, *kind, *level;
	const char *captures; /* as captures() prints them */
};

/* clang-format off */
static const struct row rows[] = {
	/* the root, and what is no path */
	{ "/", "none", "root", "" },
	{ "//", "none", "root", "" },
	{ "", "other", "other", "" },
	{ "a/b", "other", "other", "" },
	{ "/../x", "other", "other", "" },
	{ "/a", "other", "other", "" },
	/* kubelet, cgroupfs driver */
	{ "/kubepods", "k8s", "k8s_root", "" },
	{ "/kubepods/burstable", "k8s", "k8s_qos", BURSTABLE },
	{ "/kubepods/besteffort", "k8s", "k8s_qos", BESTEFFORT },
	{ "/kubepods/pod" U, "k8s", "k8s_pod", POD_U GUARANTEED },
	{ "/kubepods/burstable/pod" U, "k8s", "k8s_pod", POD_U BURSTABLE },
	{ "/kubepods/besteffort/pod" U, "k8s", "k8s_pod", POD_U BESTEFFORT },
	{ "/kubepods/pod" U "/" C, "k8s", "container", " c=" C POD_U GUARANTEED },
	{ "/kubepods/burstable/pod" U "/" C, "k8s", "container", " c=" C POD_U BURSTABLE },
	{ "/kubepods/besteffort/pod" U "/" C, "k8s", "container", " c=" C POD_U BESTEFFORT },
	{ "/kubepods/burstable/pod" U "/crio-" C, "k8s", "container", " c=" C " rt=cri-o" POD_U BURSTABLE },
	{ "/kubepods/pod" U "/crio-" C, "k8s", "container", " c=" C " rt=cri-o" POD_U GUARANTEED },
	{ "/kubepods/burstable/pod" H "/" C, "k8s", "container", " c=" C POD_H BURSTABLE },
	{ "/kubepods/burstable/pod" U "/" C "/init.scope", "k8s", "systemd_scope", " c=" C " p=/kubepods/burstable/pod" U "/" C " unit=init.scope" POD_U BURSTABLE },
	{ "/kubepods/burstable/pod" U "/" C "/system.slice/x.service", "k8s", "systemd_service", " c=" C " p=/kubepods/burstable/pod" U "/" C " unit=x.service" POD_U BURSTABLE },
	{ "/kubepods/burstable/pod" U "/" C "/foo", "k8s", "other", " c=" C " p=/kubepods/burstable/pod" U "/" C POD_U BURSTABLE },
	{ "/kubepods/burstable/pod" U "/crio-" C "/container", "k8s", "other", " c=" C " p=/kubepods/burstable/pod" U "/crio-" C " rt=cri-o" POD_U BURSTABLE },
	{ "/cluster/kubepods/burstable/pod" U "/" C, "k8s", "container", " c=" C POD_U BURSTABLE },
	{ "/k3s/kubepods/pod" U "/" C, "k8s", "container", " c=" C POD_U GUARANTEED },
	{ "/a/b/kubepods/besteffort/pod" U "/" C, "k8s", "container", " c=" C POD_U BESTEFFORT },
	{ "/system.slice/k3s.service/kubepods/burstable/pod" U "/" C, "k8s", "container", " c=" C POD_U BURSTABLE },
	/* … and what only looks like it */
	{ "/kubepods/burstable/podinfo", "k8s", "other", "" },
	{ "/kubepods/burstable/podinfo/x", "k8s", "other", "" },
	{ "/kubepods/burstable/pod-lab", "k8s", "other", "" },
	{ "/kubepods/burstable/podinfo/" C, "docker", "container", " c=" C " file" },
	{ "/kubepods/burstable/pod" V, "k8s", "other", "" },
	{ "/kubepods/burstable/pod1f0e7a3c-55d2-4a8b-9c1d-0123456789a", "k8s", "other", "" },
	{ "/kubepods/burstable/pod1f0e7a3c-55d2-4a8b-9c1d-0123456789abc", "k8s", "other", "" },
	{ "/kubepods/burstable/pod1F0E7A3C-55D2-4A8B-9C1D-0123456789AB", "k8s", "other", "" },
	{ "/kubepods/burstable/pod1f0e7a3c-55d2_4a8b-9c1d_0123456789ab", "k8s", "other", "" },
	{ "/kubepods/burstable/pod" H "0", "k8s", "other", "" },
	{ "/kubepods/burstable/burstable/pod" U, "k8s", "other", "" },
	{ "/kubepods/guaranteed/pod" U, "k8s", "other", "" },
	{ "/kubepods/pod" U "/" C63, "k8s", "other", POD_U GUARANTEED },
	{ "/kubepods/pod" U "/" C "0", "k8s", "other", POD_U GUARANTEED },
	{ "/kubepods/pod" U "/9F2C4E8D0B7A61539F2C4E8D0B7A61539F2C4E8D0B7A61539F2C4E8D0B7A6153", "k8s", "other", POD_U GUARANTEED },
	{ "/kubepods/pod" U "/docker-" C, "k8s", "other", POD_U GUARANTEED },
	{ "/pod" U, "other", "other", "" },
	{ "/pod" U "/" C, "containerd", "container", " c=" C " ns=pod" U " file" },
	{ "/podinfo/" C, "containerd", "container", " c=" C " ns=podinfo file" },
	{ "/burstable/pod" U "/" C, "docker", "container", " c=" C " file" },
	{ "/kubepodsx/burstable/pod" U, "containerd", "other", " c=burstable p=/kubepodsx/burstable rt=containerd ns=kubepodsx file" },
	{ "/xkubepods/pod" U, "containerd", "container", " c=pod" U " rt=containerd ns=xkubepods file" },
	{ "/kubepods.slice/burstable/pod" U, "k8s", "other", "" },
	/* kubelet, systemd driver */
	{ "/kubepods.slice", "k8s", "k8s_root", "" },
	{ "/kubepods.slice/kubepods-burstable.slice", "k8s", "k8s_qos", BURSTABLE },
	{ "/kubepods.slice/kubepods-besteffort.slice", "k8s", "k8s_qos", BESTEFFORT },
	{ SG, "k8s", "k8s_pod", POD_U GUARANTEED },
	{ SB, "k8s", "k8s_pod", POD_U BURSTABLE },
	{ SE, "k8s", "k8s_pod", POD_U BESTEFFORT },
	{ "/kubepods.slice/kubepods-pod" H ".slice", "k8s", "k8s_pod", POD_H GUARANTEED },
	{ SG "/cri-containerd-" C ".scope", "k8s", "container", " c=" C " rt=containerd" POD_U GUARANTEED },
	{ SB "/cri-containerd-" C ".scope", "k8s", "container", " c=" C " rt=containerd" POD_U BURSTABLE },
	{ SE "/cri-containerd-" C ".scope", "k8s", "container", " c=" C " rt=containerd" POD_U BESTEFFORT },
	{ SG "/crio-" C ".scope", "k8s", "container", " c=" C " rt=cri-o" POD_U GUARANTEED },
	{ SB "/crio-" C ".scope", "k8s", "container", " c=" C " rt=cri-o" POD_U BURSTABLE },
	{ SE "/crio-" C ".scope/container", "k8s", "other", " c=" C " p=" SE "/crio-" C ".scope rt=cri-o" POD_U BESTEFFORT },
	{ SG "/docker-" C ".scope", "k8s", "container", " c=" C " rt=docker" POD_U GUARANTEED },
	{ SB "/docker-" C ".scope", "k8s", "container", " c=" C " rt=docker" POD_U BURSTABLE },
	{ SE "/docker-" C ".scope", "k8s", "container", " c=" C " rt=docker" POD_U BESTEFFORT },
	{ SB "/cri-containerd-" C ".scope/init.scope", "k8s", "systemd_scope", " c=" C " p=" SB "/cri-containerd-" C ".scope rt=containerd unit=init.scope" POD_U BURSTABLE },
	{ XB, "k8s", "k8s_pod", POD_U BURSTABLE },
	{ XB "/cri-containerd-" C ".scope", "k8s", "container", " c=" C " rt=containerd" POD_U BURSTABLE },
	{ "/kubelet.slice/kubelet-kubepods.slice", "k8s", "k8s_root", "" },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice", "k8s", "k8s_qos", BESTEFFORT },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" V ".slice/crio-" C ".scope", "k8s", "container", " c=" C " rt=cri-o" POD_U GUARANTEED },
	{ "/a.slice/a-b.slice/a-b-kubepods.slice/a-b-kubepods-pod" V ".slice/docker-" C ".scope", "k8s", "container", " c=" C " rt=docker" POD_U GUARANTEED },
	{ "/a.slice/a-b.slice/a-b-kubepods.slice/a-b-kubepods-besteffort.slice/a-b-kubepods-besteffort-pod" V ".slice/docker-" C ".scope", "k8s", "container", " c=" C " rt=docker" POD_U BESTEFFORT },
	/* … whose slices do not fit their parents */
	{ "/kubepods-burstable.slice", "other", "other", "" },
	{ "/kubepods.slice/kubepods-burstable-pod" V ".slice", "k8s", "other", "" },
	{ "/kubepods-pod" V ".slice/cri-containerd-" C ".scope", "containerd", "container", " c=" C " rt=containerd" },
	{ "/x/kubepods-burstable.slice/kubepods-burstable-pod" V ".slice/crio-" C ".scope", "other", "container", " c=" C " rt=cri-o" },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-burstable-pod" V ".slice/docker-" C ".scope", "docker", "container", " c=" C " rt=docker" },
	{ "/kubepods.slice/kubelet-kubepods-pod" V ".slice", "k8s", "other", "" },
	{ "/kubepods.slice/kubepods-pod" U ".slice", "k8s", "other", "" },
	{ "/kubepods.slice/foo/kubepods-pod" V ".slice", "k8s", "other", "" },
	{ "/kubelet-kubepods.slice", "other", "other", "" },
	{ "/kubelex.slice/kubelet-kubepods.slice", "systemd", "other", " unit=kubelex.slice" },
	{ "/kubelet.sliceX/kubelet-kubepods.slice", "other", "other", "" },
	{ "/kubelet.scoped/kubelet-kubepods.slice", "other", "other", "" },
	{ "/kubele.slice/kubelet-kubepods.slice", "systemd", "other", " unit=kubele.slice" },
	{ "/-kubepods.slice", "other", "other", "" },
	{ "/a.slice/a--kubepods.slice", "systemd", "other", " unit=a.slice" },
	{ "/kubepods.slice/kubepods-podinfo.slice", "systemd", "systemd_slice", " unit=kubepods-podinfo.slice" },
	{ "/kubepods.slice/kubepods-podinfo.slice/cri-containerd-" C ".scope", "containerd", "container", " c=" C " rt=containerd" },
	{ SB "/cri-containerd-" C63 ".scope", "systemd", "systemd_scope", " unit=cri-containerd-" C63 ".scope" POD_U BURSTABLE },
	{ SB "/cri-containerd-" C "0.scope", "systemd", "systemd_scope", " unit=cri-containerd-" C "0.scope" POD_U BURSTABLE },
	{ SB "/" C, "k8s", "container", " c=" C POD_U BURSTABLE },
	/* monitors and helpers */
	{ SB "/crio-conmon-" C ".scope", "other", "other", " unit=crio-conmon-" C ".scope monitor" POD_U BURSTABLE },
	{ "/machine.slice/libpod-conmon-" C ".scope", "other", "other", " unit=libpod-conmon-" C ".scope monitor" },
	{ "/system.slice/crio-conmon-" C ".scope", "other", "other", " unit=crio-conmon-" C ".scope monitor" },
	{ "/lxc.monitor.web", "other", "other", " monitor" },
	{ "/lxc.monitor.web/x", "other", "other", " monitor" },
	{ USER "/user.slice/libpod-conmon-" C ".scope", "other", "other", " unit=libpod-conmon-" C ".scope monitor rootless uid=1000" },
	{ "/docker/" D "/libpod-conmon-" C ".scope", "docker", "other", " c=" D " p=/docker/" D " rt=docker unit=libpod-conmon-" C ".scope monitor" },
	{ "/lxc.monitor." C, "other", "other", " monitor" },
	/* drivers disagree */
	{ "/system.slice/containerd.service/kubepods-burstable-pod" V ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_U BURSTABLE },
	{ "/system.slice/containerd.service/kubepods-besteffort-pod" V ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_U BESTEFFORT },
	{ "/system.slice/containerd.service/kubepods-pod" V ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_U GUARANTEED },
	{ "/system.slice/containerd.service/kubelet-kubepods-burstable-pod" V ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_U BURSTABLE },
	{ "/system.slice/containerd.service/kubelet-kubepods-besteffort-pod" V ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_U BESTEFFORT },
	{ "/system.slice/containerd.service/kubelet-kubepods-pod" V ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_U GUARANTEED },
	{ "/system.slice/containerd.service/kubepods-pod" H ".slice:cri-containerd:" C, "k8s", "container", " c=" C " rt=containerd" POD_H GUARANTEED },
	{ "/system.slice/containerd.service/kubepods-pod" V ".slice:cri-containerd:" C "/init.scope", "k8s", "systemd_scope", " c=" C " p=/system.slice/containerd.service/kubepods-pod" V ".slice:cri-containerd:" C " rt=containerd unit=init.scope" POD_U GUARANTEED },
	{ "/system.slice/containerd.service/xkubepods-pod" V ".slice:cri-containerd:" C, "systemd", "other", " unit=containerd.service" },
	{ "/system.slice/containerd.service/kubepods-pod" V ".slice:cri-containerd:" C63, "systemd", "other", " unit=containerd.service" },
	{ "/system.slice/containerd.service/kubepods-podinfo.slice:cri-containerd:" C, "systemd", "other", " unit=containerd.service" },
	{ "/system.slice/containerd.service/kubepods-pod" U ".slice:cri-containerd:" C, "systemd", "other", " unit=containerd.service" },
	/* kind in docker, docker in a pod */
	{ "/docker/" D "/kubelet/kubepods/burstable/pod" U "/" C, "k8s", "container", " c=" C " o=" D POD_U BURSTABLE },
	{ "/docker/" D "/kubepods/besteffort/pod" U "/crio-" C, "k8s", "container", " c=" C " o=" D " rt=cri-o" POD_U BESTEFFORT },
	{ "/system.slice/docker-" D ".scope" XB "/cri-containerd-" C ".scope", "k8s", "container", " c=" C " o=" D " rt=containerd" POD_U BURSTABLE },
	{ "/machine.slice/libpod-" D ".scope" XB "/cri-containerd-" C ".scope", "k8s", "container", " c=" C " o=" D " rt=containerd" POD_U BURSTABLE },
	{ SB "/cri-containerd-" D ".scope/docker/" C, "docker", "container", " c=" C " o=" D " rt=docker" POD_U BURSTABLE },
	{ "/kubepods/burstable/pod" U "/" D "/kubepods/pod" H "/" C, "k8s", "container", " c=" C " o=" D POD_H GUARANTEED },
	{ "/docker/" D "/docker/" C "/docker/" D, "docker", "container", " c=" D " o=" C " rt=docker" },
	{ "/foo/" D "/docker/" C, "docker", "container", " c=" C " rt=docker" },
	{ "/docker/" D "/kubelet/kubepods/burstable", "docker", "k8s_qos", " c=" D " p=/docker/" D " rt=docker" BURSTABLE },
	/* docker */
	{ "/docker", "other", "other", "" },
	{ "/docker/" C, "docker", "container", " c=" C " rt=docker" },
	{ "/docker/" C "/init.scope", "docker", "systemd_scope", " c=" C " p=/docker/" C " rt=docker unit=init.scope" },
	{ "/docker/" C63, "other", "other", "" },
	{ "/docker/" C "0", "other", "other", "" },
	{ "/docker/buildx", "other", "other", "" },
	{ "/p/docker/" C, "docker", "container", " c=" C " rt=docker" },
	{ "/system.slice/docker-" C ".scope", "docker", "container", " c=" C " rt=docker" },
	{ "/a.slice/docker-" C ".scope", "docker", "container", " c=" C " rt=docker" },
	{ "/system.slice/docker-" C63 ".scope", "systemd", "systemd_scope", " unit=docker-" C63 ".scope" },
	{ "/system.slice/docker-" C "0.scope", "systemd", "systemd_scope", " unit=docker-" C "0.scope" },
	{ "/system.slice/docker-" C ".scope.scope", "systemd", "systemd_scope", " unit=docker-" C ".scope.scope" },
	{ "/system.slice/xdocker-" C ".scope", "systemd", "systemd_scope", " unit=xdocker-" C ".scope" },
	{ "/system.slice/docker.service", "systemd", "systemd_service", " unit=docker.service" },
	{ "/custom/" C, "containerd", "container", " c=" C " ns=custom file" },
	{ "/custom/parent/" C, "docker", "container", " c=" C " file" },
	{ "/custom.slice/" C, "docker", "container", " c=" C " file" },
	{ "/" C, "other", "other", "" },
	{ "/system.slice/docker-" C ".scope/system.slice/x.service", "docker", "systemd_service", " c=" C " p=/system.slice/docker-" C ".scope rt=docker unit=x.service" },
	{ USER "/app.slice/docker-" C ".scope", "docker", "container", " c=" C " rt=docker rootless uid=1000" },
	{ USER "/user.slice/docker-" C ".scope", "docker", "container", " c=" C " rt=docker rootless uid=1000" },
	/* containerd, nerdctl */
	{ "/default/web", "containerd", "container", " c=web rt=containerd ns=default file" },
	{ "/default/web.1_a-b", "containerd", "container", " c=web.1_a-b rt=containerd ns=default file" },
	{ "/k8s.io/web", "containerd", "container", " c=web rt=containerd ns=k8s.io file" },
	{ "/moby/" C, "containerd", "container", " c=" C " ns=moby file" },
	{ "/default/web/init.scope", "containerd", "systemd_scope", " c=web p=/default/web rt=containerd ns=default unit=init.scope file" },
	{ "/default/web/a/b", "containerd", "other", " c=web p=/default/web rt=containerd ns=default file" },
	{ "/default/" LONG, "containerd", "container", " c=" LONG " rt=containerd ns=default file" },
	{ "/default/" LONG "y", "other", "other", "" },
	{ "/default/-web", "other", "other", "" },
	{ "/default/.web", "other", "other", "" },
	{ "/default/we b", "other", "other", "" },
	{ "/def ault/web", "other", "other", "" },
	{ "/_default/web", "other", "other", "" },
	{ "/default/web\xff", "other", "other", "" },
	{ "/foo.slice/web", "systemd", "other", " unit=foo.slice" },
	{ "/init.scope/web", "systemd", "other", " unit=init.scope" },
	{ "/system.slice/nerdctl-" C ".scope", "containerd", "container", " c=" C " rt=containerd" },
	{ "/system.slice/nerdctl-web.scope", "containerd", "container", " c=web rt=containerd" },
	{ "/system.slice/nerdctl-web.scope.scope", "containerd", "container", " c=web.scope rt=containerd" },
	{ "/system.slice/nerdctl-.scope", "systemd", "systemd_scope", " unit=nerdctl-.scope" },
	{ USER "/user.slice/nerdctl-web.scope", "containerd", "container", " c=web rt=containerd rootless uid=1000" },
	{ "/system.slice/cri-containerd-" C ".scope", "containerd", "container", " c=" C " rt=containerd" },
	{ "/system.slice/crio-" C ".scope", "other", "container", " c=" C " rt=cri-o" },
	/* podman */
	{ "/libpod_parent", "other", "other", "" },
	{ "/libpod_parent/libpod-" C, "podman", "container", " c=" C " rt=podman" },
	{ "/libpod_parent/libpod-" C63, "other", "other", "" },
	{ "/machine.slice/libpod-" C ".scope", "podman", "container", " c=" C " rt=podman" },
	{ "/machine.slice/libpod-" C ".scope/container", "podman", "other", " c=" C " p=/machine.slice/libpod-" C ".scope rt=podman" },
	{ "/machine.slice/libpod-" C ".scope/container/init.scope", "podman", "systemd_scope", " c=" C " p=/machine.slice/libpod-" C ".scope rt=podman unit=init.scope" },
	{ "/machine.slice/machine-libpod_pod_" D ".slice", "podman", "systemd_slice", " unit=machine-libpod_pod_" D ".slice" },
	{ "/machine.slice/machine-libpod_pod_" D ".slice/libpod-" C ".scope", "podman", "container", " c=" C " rt=podman" },
	{ "/machine-libpod_pod_" D ".slice", "other", "other", "" },
	{ "/system.slice/web.service/libpod-payload-" C, "podman", "container", " c=" C " rt=podman unit=web.service" },
	{ "/system.slice/web.service/libpod-payload-" C "/x", "podman", "other", " c=" C " p=/system.slice/web.service/libpod-payload-" C " rt=podman unit=web.service" },
	{ "/system.slice/web.service/runtime", "systemd", "other", " unit=web.service" },
	{ "/libpod-payload-" C, "other", "other", "" },
	{ USER "/user.slice/libpod-" C ".scope/container", "podman", "other", " c=" C " p=" USER "/user.slice/libpod-" C ".scope rt=podman rootless uid=1000" },
	{ USER "/app.slice/web.service/libpod-payload-" C, "podman", "container", " c=" C " rt=podman unit=web.service rootless uid=1000" },
	/* LXC, Incus */
	{ "/lxc", "other", "other", "" },
	{ "/lxc/web", "lxc", "machine", " m=web" },
	{ "/lxc/web/x", "lxc", "other", " m=web" },
	{ "/lxc/a-b.slice", "lxc", "machine", " m=a-b.slice" },
	{ "/lxc/web/system.slice/x.service", "lxc", "systemd_service", " unit=x.service m=web" },
	{ "/lxc.payload/web", "lxc", "machine", " m=web" },
	{ "/lxc.payload.web", "lxc", "machine", " m=web" },
	{ "/lxc.payload.web/.lxc", "lxc", "other", " m=web" },
	{ "/lxc.payload.web/init.scope", "lxc", "systemd_scope", " unit=init.scope m=web" },
	{ "/lxc.payload.web/user.slice/user-5.slice/session-2.scope", "lxc", "systemd_scope", " unit=session-2.scope m=web uid=5" },
	{ "/lxc.payload.web/docker/" C, "docker", "container", " c=" C " rt=docker m=web" },
	{ "/lxc/web/docker/" C, "docker", "container", " c=" C " rt=docker m=web" },
	{ "/lxc.payload.k8s/kubepods/burstable/pod" U, "k8s", "k8s_pod", " m=k8s" POD_U BURSTABLE },
	{ "/lxc.payload.", "other", "other", "" },
	{ "/lxcfs/web", "containerd", "container", " c=web rt=containerd ns=lxcfs file" },
	{ "/a/lxc/web", "containerd", "other", " c=lxc p=/a/lxc rt=containerd ns=a file" },
	/* nspawn, libvirt */
	{ "/machine.slice", "systemd", "systemd_slice", " unit=machine.slice" },
	{ "/machine.slice/machine-web.scope", "machine", "machine", " unit=machine-web.scope m=web" },
	{ "/machine.slice/machine-web.scope/payload", "machine", "other", " unit=machine-web.scope m=web" },
	{ "/machine.slice/machine-web.scope/payload/system.slice/x.service", "machine", "systemd_service", " unit=x.service m=web" },
	{ "/machine.slice/machine-a\\x2db.scope", "machine", "machine", " unit=machine-a\\x2db.scope m=a\\x2db" },
	{ "/machine.slice/systemd-nspawn@web.service", "machine", "machine", " unit=systemd-nspawn@web.service m=web" },
	{ "/machine.slice/systemd-nspawn@web.service/payload", "machine", "other", " unit=systemd-nspawn@web.service m=web" },
	{ "/machine.slice/machine-qemu\\x2d3\\x2dvm\\x2done.scope", "machine", "machine", " unit=machine-qemu\\x2d3\\x2dvm\\x2done.scope m=vm\\x2done" },
	{ "/machine.slice/machine-qemu\\x2d3\\x2dvm.scope/libvirt/emulator", "machine", "other", " unit=machine-qemu\\x2d3\\x2dvm.scope m=vm" },
	{ "/machine.slice/machine-lxc\\x2d9\\x2dct.scope", "lxc", "machine", " unit=machine-lxc\\x2d9\\x2dct.scope m=ct" },
	{ "/system.slice/machine-learning.scope", "systemd", "systemd_scope", " unit=machine-learning.scope" },
	/* systemd */
	{ "/init.scope", "systemd", "systemd_scope", " unit=init.scope" },
	{ "/system.slice", "systemd", "systemd_slice", " unit=system.slice" },
	{ "/system.slice/nginx.service", "systemd", "systemd_service", " unit=nginx.service" },
	{ "/system.slice/nginx.service/worker", "systemd", "other", " unit=nginx.service" },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "systemd", "systemd_service", " unit=getty@tty1.service" },
	{ "/system.slice/system-a\\x2db.slice/a\\x2db@x.service", "systemd", "systemd_service", " unit=a\\x2db@x.service" },
	{ "/system.slice/_cpu.service", "systemd", "systemd_service", " unit=cpu.service" },
	{ "/system.slice/dbus.socket", "systemd", "systemd_service", " unit=dbus.socket" },
	{ "/system.slice/var-lib.mount", "systemd", "systemd_service", " unit=var-lib.mount" },
	{ "/system.slice/dev-sda2.swap", "systemd", "systemd_service", " unit=dev-sda2.swap" },
	{ "/a.slice/a-b.slice/a-b-c.slice/x.service", "systemd", "systemd_service", " unit=x.service" },
	{ "/a.slice/a-c-b.slice", "systemd", "other", " unit=a.slice" },
	{ "/b.slice/a-b.slice/x.service", "systemd", "systemd_service", " unit=x.service" },
	{ "/a-b.slice", "other", "other", "" },
	{ "/-.slice", "other", "other", "" },
	{ "/.slice", "other", "other", "" },
	{ "/.service", "other", "other", "" },
	{ "/a.slice/a--b.slice", "systemd", "other", " unit=a.slice" },
	{ "/system.slice/\xff\xfe.service", "systemd", "systemd_service", " unit=\xff\xfe.service" },
	{ "/\xff\xfe", "other", "other", "" },
	{ "/system.slice/a\nb.service", "systemd", "systemd_service", " unit=a\nb.service" },
	{ "//system.slice//nginx.service", "systemd", "systemd_service", " unit=nginx.service" },
	{ "/system.slice/nginx.service/", "systemd", "systemd_service", " unit=nginx.service" },
	{ "//docker//" C, "docker", "container", " c=" C " rt=docker" },
	/* users */
	{ "/user.slice", "systemd", "systemd_slice", " unit=user.slice" },
	{ "/user.slice/user-1000.slice", "session", "user", " unit=user-1000.slice uid=1000" },
	{ "/user.slice/user-1000.slice/session-3.scope", "session", "systemd_scope", " unit=session-3.scope uid=1000" },
	{ "/user.slice/user-1000.slice/session-c1.scope", "session", "systemd_scope", " unit=session-c1.scope uid=1000" },
	{ "/session-3.scope", "systemd", "systemd_scope", " unit=session-3.scope" },
	{ USER, "session", "user", " unit=user@1000.service rootless uid=1000" },
	{ USER "/init.scope", "systemd", "systemd_scope", " unit=init.scope rootless uid=1000" },
	{ USER "/app.slice/app-firefox.slice/x.scope", "systemd", "systemd_scope", " unit=x.scope rootless uid=1000" },
	{ USER "/app.slice/telamon.service", "systemd", "systemd_service", " unit=telamon.service rootless uid=1000" },
	{ USER "/k3s.service/kubepods/burstable/pod" U "/" C, "k8s", "container", " c=" C " rootless uid=1000" POD_U BURSTABLE },
	{ "/user@1000.service", "systemd", "systemd_service", " unit=user@1000.service" },
	{ "/system.slice/user@1000.service/docker-" C ".scope", "docker", "container", " c=" C " rt=docker" },
	{ "/user-1000.slice", "other", "other", "" },
	{ "/user.slice/user-4294967295.slice", "session", "user", " unit=user-4294967295.slice" },
	{ "/user.slice/user-99999999999999999999.slice", "session", "user", " unit=user-99999999999999999999.slice" },
	{ "/user.slice/user-x.slice", "systemd", "systemd_slice", " unit=user-x.slice" },
	/* Slurm */
	{ "/slurm", "job", "job", "" },
	{ "/slurm/uid_1000", "job", "job", " uid=1000" },
	{ "/slurm/uid_1000/job_77", "job", "job", " job=77 uid=1000" },
	{ "/slurm/uid_1000/job_77/step_batch", "job", "job", " job=77 step=batch uid=1000" },
	{ "/slurm/uid_1000/job_77/step_0/task_3", "job", "job", " job=77 step=0 task=3 uid=1000" },
	{ "/slurm_node7/uid_1000/job_77/step_extern", "job", "job", " job=77 step=extern uid=1000" },
	{ "/slurm/uid_1000/job_77/step_0/x", "job", "other", " job=77 step=0 uid=1000" },
	{ "/system.slice/slurmstepd.scope", "job", "job", " unit=slurmstepd.scope" },
	{ "/system.slice/slurmstepd.scope/job_77/step_0/user/task_0", "job", "job", " unit=slurmstepd.scope job=77 step=0 task=0" },
	{ "/system.slice/node7_slurmstepd.scope/job_77/step_0/slurm", "job", "other", " unit=node7_slurmstepd.scope job=77 step=0" },
	{ "/slurm/uid_1000/job_77/step_0/docker/" C, "docker", "container", " c=" C " rt=docker job=77 step=0 uid=1000" },
	{ "/a/slurm/uid_1/job_2", "containerd", "other", " c=slurm p=/a/slurm rt=containerd ns=a file" },
	{ "/slurm/uid_x/job_1", "job", "other", "" },
	{ "/slurm/uid_1/step_0", "job", "other", " uid=1" },
	{ "/job_1", "other", "other", "" },
	/* deep */
	{ DEEP20 DEEP20, "containerd", "other", " c=b p=/a/b rt=containerd ns=a file" },
	{ "/docker/" C DEEP20 DEEP5 DEEP5 DEEP5 "/x/y/z", "docker", "other", " c=" C " p=/docker/" C " rt=docker" },
	{ "/docker/" C DEEP20 DEEP20 DEEP20 "/x.service", "docker", "other", " c=" C " p=/docker/" C " rt=docker" },
};
/* clang-format on */

struct text {
	char s[2048];
	size_t n;
};

static void add(struct text *t, const char *label, const char *s, size_t len)
{
	if (len)
		t->n += (size_t)snprintf(t->s + t->n, sizeof(t->s) - t->n, " %s=%.*s", label,
					 (int)len, s);
}

static void add_flag(struct text *t, const char *label, bool on)
{
	if (on)
		t->n += (size_t)snprintf(t->s + t->n, sizeof(t->s) - t->n, " %s", label);
}

#define ADD(label, member) add(t, label, path + (member).offset, (member).length)

static void captures(const char *path, const struct cgname *n, struct text *t)
{
	const char *runtime = cgname_runtime_name(n->runtime);
	char uid[16] = "";

	t->s[0] = '\0';
	t->n = 0;
	assert_int_equal(n->container, n->container_id.length > 0);
	assert_int_equal(n->container, n->container_path.length > 0);
	if (n->uid != UINT32_MAX)
		(void)snprintf(uid, sizeof(uid), "%u", n->uid);
	ADD("c", n->container_id);
	if (n->container_path.length != strlen(path))
		ADD("p", n->container_path);
	ADD("o", n->outer_container_id);
	add(t, "rt", runtime, strlen(runtime));
	ADD("ns", n->namespace);
	ADD("unit", n->unit);
	ADD("m", n->machine);
	ADD("job", n->job);
	ADD("step", n->step);
	ADD("task", n->task);
	add_flag(t, "monitor", n->monitor);
	add_flag(t, "file", n->needs_runtime_file);
	add_flag(t, "rootless", n->rootless);
	add(t, "uid", uid, strlen(uid));
	add(t, "pod", n->pod_uid, strlen(n->pod_uid));
	add(t, "qos", n->qos, strlen(n->qos));
}

/* All rows are checked before the test fails, so that one run shows them all. */
static void test_paths(void **state)
{
	unsigned wrong = 0;

	(void)state;
	assert_true(ARRAY_SIZE(rows) >= 150);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct cgname n;
		struct text t;

		memset(&n, 0x5a, sizeof(n));
		cgname_parse(r->path, strlen(r->path), &n);
		captures(r->path, &n, &t);
		if (streq(cgname_kind_name(n.kind), r->kind) &&
		    streq(cgname_level_name(n.level), r->level) && streq(t.s, r->captures))
			continue;
		wrong++;
		print_message("%s\n  is   %s %s%s\n  want %s %s%s\n", r->path,
			      cgname_kind_name(n.kind), cgname_level_name(n.level), t.s, r->kind,
			      r->level, r->captures);
	}
	assert_int_equal(wrong, 0);
}

/* What stays when no runtime file was found: nothing that needs one. */
static void test_alone(void **state)
{
	static const struct row alone[] = {
		{ "/custom/" C, "other", "other", "" },
		{ "/default/web", "other", "other", "" },
		{ "/default/web/x.service", "systemd", "systemd_service", " unit=x.service" },
		{ "/system.slice/cri-containerd-" C ".scope", "containerd", "container",
		  " c=" C " rt=containerd" },
		{ "/docker/" D "/custom/" C, "docker", "other",
		  " c=" D " p=/docker/" D " rt=docker" },
		{ "/docker/" C, "docker", "container", " c=" C " rt=docker" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(alone); i++) {
		struct cgname n;
		struct text t;

		cgname_parse_alone(alone[i].path, strlen(alone[i].path), &n);
		captures(alone[i].path, &n, &t);
		assert_string_equal(t.s, alone[i].captures);
		assert_string_equal(cgname_kind_name(n.kind), alone[i].kind);
		assert_string_equal(cgname_level_name(n.level), alone[i].level);
	}
}

/* Whose owner decides (OOM-411): the nearest kubepods root. */
static void test_roots(void **state)
{
	static const struct {
		const char *path, *kube, *user;
	} cases[] = {
		{ "/kubepods/burstable/pod" U "/" C, "/kubepods", "" },
		{ "/x/kubepods/pod" U, "/x/kubepods", "" },
		{ XB "/crio-" C ".scope", "/kubelet.slice/kubelet-kubepods.slice", "" },
		{ "/kubepods/pod" U "/" D "/kubepods/pod" U "/" C,
		  "/kubepods/pod" U "/" D "/kubepods", "" },
		{ "/s.slice/kubepods-pod" V ".slice:cri-containerd:" C,
		  "/s.slice/kubepods-pod" V ".slice:cri-containerd:" C, "" },
		{ USER "/kubepods/pod" U, USER "/kubepods", USER },
		{ USER "/user.slice/libpod-" C ".scope", "", USER },
		{ "/xkubepods/pod" U, "", "" },
		{ "/mykubepods.slice", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cgname n;

		cgname_parse(cases[i].path, strlen(cases[i].path), &n);
		assert_int_equal(n.kube_root.length, strlen(cases[i].kube));
		assert_memory_equal(cases[i].path, cases[i].kube, n.kube_root.length);
		assert_int_equal(n.user_root.length, strlen(cases[i].user));
		assert_memory_equal(cases[i].path, cases[i].user, n.user_root.length);
	}
}

/* Longer than PATH_MAX: the front is looked at, and half a name is not taken for one. */
static void test_too_long(void **state)
{
	static char path[16384];
	struct cgname n;
	size_t len = 0;

	(void)state;
	len = (size_t)snprintf(path, sizeof(path), "/docker/" C "/");
	memset(path + len, 'x', sizeof(path) - len);
	cgname_parse(path, sizeof(path), &n);
	assert_int_equal(n.kind, CGNAME_DOCKER);
	assert_int_equal(n.level, CGLEVEL_OTHER);
	assert_int_equal(n.container_path.length, len - 1);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	memcpy(path + 4096 - 2, "/ab.service", 11);
	cgname_parse(path, sizeof(path), &n);
	assert_int_equal(n.kind, CGNAME_OTHER);
	assert_int_equal(n.unit.length, 0);
}

static void test_unescape(void **state)
{
	static const struct {
		const char *text, *want;
		size_t size;
	} cases[] = {
		{ "a\\x2db", "a-b", 64 },
		{ "a\\x2Db", "a-b", 64 },
		{ "\\x2d\\x2d", "--", 64 },
		{ "dev-disk-by\\x2dlabel-x.swap", "dev-disk-by-label-x.swap", 64 },
		{ "a\\x2", "a\\x2", 64 },
		{ "a\\x", "a\\x", 64 },
		{ "a\\", "a\\", 64 },
		{ "a\\xzz", "a\\xzz", 64 },
		{ "a\\x00b", "a\\x00b", 64 },
		{ "a\\n", "a\\n", 64 },
		{ "\\xff", "\xff", 64 },
		{ "abcdef", "abc", 4 },
		{ "ab\\x2d", "ab-", 4 },
		{ "x", "", 1 },
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(buf, 0x5a, sizeof(buf));
		assert_int_equal(cgname_unescape(cases[i].text, strlen(cases[i].text), buf,
						 cases[i].size),
				 strlen(cases[i].want));
		assert_string_equal(buf, cases[i].want);
	}
	assert_int_equal(cgname_unescape("x", 1, buf, 0), 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(cgname_kind_name(_CGNAME_KIND_MAX), "other");
	assert_string_equal(cgname_level_name(_CGLEVEL_MAX), "other");
	assert_string_equal(cgname_runtime_name(_CGRUNTIME_MAX), "");
	for (int k = 0; k < _CGNAME_KIND_MAX; k++)
		assert_true(*cgname_kind_name(k));
	for (int l = 0; l < _CGLEVEL_MAX; l++)
		assert_true(*cgname_level_name(l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	 cmocka_unit_test(test_alone),
		cmocka_unit_test(test_roots),	 cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_unescape), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
