/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What container runtimes write about a container: finding and reading the files
 *
 * Every path is opened component by component without following links below a fixed directory, so a file that somebody else
 * placed there cannot lead elsewhere. The directories are opened for each container: a runtime may come after the agent.
 * Fifos and devices are refused before anything is read.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/cleanup.h"
#include "sys/ociconf.h"

#define FILE_MAX (1 << 20)
#define STATE_MAX (4 << 20)
#define NAMESPACES_MAX 64
#define LOGS_MAX 16384

/* The directories, as long as one container is read. */
struct sources {
	const char *const *label_keys;
	int run_fd, containers_fd, docker_fd, pods_log_fd; /* negative: not there */
};

static int join_root(const char *rootfs, const char *path, char **ret)
{
	return asprintf(ret, "%s%s", streq(rootfs, "/") ? "" : rootfs, path) < 0 ? -ENOMEM : 0;
}

int oci_roots_init(const char *rootfs, const char *run, const char *containers, const char *docker,
		   const char *pods_log, struct oci_roots *ret)
{
	struct oci_roots r = {};

	if (join_root(rootfs, run, &r.run) < 0 ||
	    join_root(rootfs, containers, &r.containers) < 0 ||
	    join_root(rootfs, docker, &r.docker) < 0 ||
	    join_root(rootfs, pods_log, &r.pods_log) < 0) {
		oci_roots_done(&r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void oci_roots_done(struct oci_roots *r)
{
	free(r->run);
	free(r->containers);
	free(r->docker);
	free(r->pods_log);
	*r = (struct oci_roots){};
}

static void sources_open(const struct oci_roots *r, struct sources *ret)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	ret->label_keys = r->label_keys;
	ret->run_fd = open(r->run, flags);
	ret->containers_fd = open(r->containers, flags);
	ret->docker_fd = open(r->docker, flags);
	ret->pods_log_fd = open(r->pods_log, flags);
}

static void sources_close(struct sources *s)
{
	closep(&s->run_fd);
	closep(&s->containers_fd);
	closep(&s->docker_fd);
	closep(&s->pods_log_fd);
}

/* Opens a/b/c below @root without following any link. */
static int open_beneath(int root, const char *path, int flags)
{
	_cleanup_(closep) int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);

	if (dir < 0)
		return -errno;
	for (;;) {
		size_t len = strcspn(path, "/");
		bool last = !path[len];
		char name[256];
		int fd;

		if (len == 0 || len >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		if (streq(name, "..") || streq(name, "."))
			return -EINVAL;
		fd = openat(dir, name,
			    (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC |
				    O_NONBLOCK);
		if (fd < 0)
			return -errno;
		if (last)
			return fd;
		(void)close(dir);
		dir = fd;
		path += len + 1;
	}
}

static int read_beneath(int root, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = root < 0 ? -ENOENT : open_beneath(root, path, O_RDONLY);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	/* One byte more than it says: a file that grows meanwhile is read anew at the next try. */
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	*ret = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

static void count_error(struct oci_info *info, enum oci_source source, int error)
{
	enum oci_error e;

	switch (error) {
	case -ENOENT:
		return; /* most sources do not exist for most containers */
	case -EACCES:
	case -EPERM:
	case -ELOOP: /* the last part is a link */
	case -ENOTDIR: /* one in the middle is */
		e = OCI_DENIED;
		break;
	case -EFBIG:
		e = OCI_TOO_LARGE;
		break;
	default:
		e = OCI_PARSE;
	}
	info->errors[source][e]++;
}

enum form { FORM_CONFIG, FORM_DOCKER, FORM_STATE, FORM_CONTAINERS };

static int read_source(const struct sources *sources, int root, const char *path,
		       enum oci_source source, enum form form, const char *id, struct oci_info *ret)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0;
	int r = read_beneath(root, path, form == FORM_STATE ? STATE_MAX : FILE_MAX, &text, &len);

	if (r >= 0) {
		switch (form) {
		case FORM_CONFIG:
			r = oci_parse_config(text, len, sources->label_keys, ret);
			break;
		case FORM_DOCKER:
			r = oci_parse_docker(text, len, sources->label_keys, ret);
			break;
		case FORM_STATE:
			r = oci_parse_state(text, len, ret);
			break;
		case FORM_CONTAINERS:
			r = oci_parse_containers(text, len, id, ret);
			break;
		}
	}
	if (r < 0)
		count_error(ret, source, r);
	else
		ret->sources |= 1U << source;
	if (ret->refused)
		count_error(ret, source, -EBADMSG);
	ret->refused = 0;
	return r;
}

/* NULL where it is not there, or cannot be read, which is counted. */
static DIR *open_directory(int root, const char *path, enum oci_source source, struct oci_info *ret)
{
	int fd = root < 0 ? -ENOENT : open_beneath(root, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd < 0)
		count_error(ret, source, fd);
	else if (!dir)
		(void)close(fd);
	return dir;
}

/* One file below each directory of @parent: containerd keeps a directory per namespace. */
static void read_namespaces(const struct sources *sources, const char *parent,
			    const char *namespace, const char *tail, const char *id,
			    enum oci_source source, enum form form, struct oci_info *ret)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	char path[1024];
	unsigned n = 0;

	if (namespace && *namespace) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s%s", parent, namespace, id, tail);
		(void)read_source(sources, sources->run_fd, path, source, form, id, ret);
		return;
	}
	dir = open_directory(sources->run_fd, parent, source, ret);
	while (dir && (entry = readdir(dir)) && n < NAMESPACES_MAX) {
		if (entry->d_name[0] == '.')
			continue;
		n++;
		(void)snprintf(path, sizeof(path), "%s/%s/%s%s", parent, entry->d_name, id, tail);
		if (read_source(sources, sources->run_fd, path, source, form, id, ret) == 0)
			return;
	}
}

/* "/var/log/containers/POD_NS_CONTAINER-ID.log" is a link whose name tells all but the uid, which is where it leads. */
static void read_log_name(const struct sources *sources, const char *id, struct oci_info *ret)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	char target[PATH_MAX];
	unsigned n = 0;
	int r = -ENOENT;

	if (ret->pod_name[0] || strlen(id) != 64)
		return;
	dir = open_directory(sources->pods_log_fd, "containers", OCI_PODS_LOG, ret);
	while (dir && r == -ENOENT && (entry = readdir(dir)) && n++ < LOGS_MAX) {
		ssize_t len;

		r = oci_parse_log_name(entry->d_name, id, ret);
		if (r < 0)
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[MAX(len, 0)] = '\0';
		r = oci_parse_log_target(target, ret);
		ret->sources |= 1U << OCI_PODS_LOG;
	}
	if (r < 0)
		count_error(ret, OCI_PODS_LOG, r);
}

static bool id_is_safe(const char *id)
{
	size_t n = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-");

	return n > 0 && n <= 128 && !id[n] && id[0] != '.' && id[0] != '-';
}

static void read_all(const struct sources *sources, const char *id,
		     const char *containerd_namespace, uint32_t uid, struct oci_info *ret)
{
	static const char *const containerd[] = {
		"containerd/io.containerd.runtime.v2.task",
		"k3s/containerd/io.containerd.runtime.v2.task",
		"docker/containerd/daemon/io.containerd.runtime.v2.task"
	};
	static const struct {
		const char *format;
		enum oci_source source;
		enum form form;
	} run_files[] = {
		{ "containers/storage/overlay-containers/%s/userdata/config.json", OCI_CRIO,
		  FORM_CONFIG },
		{ "runc/%s/state.json", OCI_RUNC, FORM_STATE },
		{ "docker/runtime-runc/moby/%s/state.json", OCI_RUNC, FORM_STATE },
		{ "crun/%s/status", OCI_CRUN, FORM_STATE },
	};
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(containerd); i++)
		read_namespaces(sources, containerd[i], containerd_namespace, "/config.json", id,
				OCI_CONTAINERD, FORM_CONFIG, ret);
	if (uid != UINT32_MAX) {
		bool known = ret->cgroups_path[0];

		(void)snprintf(path, sizeof(path),
			       "user/%u/containers/overlay-containers/%s/userdata/config.json", uid,
			       id);
		(void)read_source(sources, sources->run_fd, path, OCI_PODMAN, FORM_CONFIG, id, ret);
		ret->user_file = !known && ret->cgroups_path[0];
	}
	for (size_t i = 0; i < ARRAY_SIZE(run_files); i++) {
		/* The rows hold one %s each, so nothing is formatted by a variable. */
		const char *percent = strstr(run_files[i].format, "%s");

		(void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(percent - run_files[i].format),
			       run_files[i].format, id, percent + 2);
		(void)read_source(sources, sources->run_fd, path, run_files[i].source,
				  run_files[i].form, id, ret);
	}
	if (!ret->cgroup_path[0])
		read_namespaces(sources, "containerd/runc", containerd_namespace, "/state.json", id,
				OCI_RUNC, FORM_STATE, ret);
	(void)snprintf(path, sizeof(path), "containers/%s/config.v2.json", id);
	(void)read_source(sources, sources->docker_fd, path, OCI_DOCKER, FORM_DOCKER, id, ret);
	(void)read_source(sources, sources->containers_fd,
			  "storage/overlay-containers/containers.json", OCI_PODMAN, FORM_CONTAINERS,
			  id, ret);
	read_log_name(sources, id, ret);
}

int oci_read(const struct oci_roots *roots, const char *id, const char *containerd_namespace,
	     uint32_t uid, struct oci_info *ret)
{
	struct sources sources;

	memset(ret, 0, sizeof(*ret));
	if (!id_is_safe(id) ||
	    (containerd_namespace && *containerd_namespace && !id_is_safe(containerd_namespace)))
		return -EINVAL;
	sources_open(roots, &sources);
	read_all(&sources, id, containerd_namespace, uid, ret);
	sources_close(&sources);
	return ret->found ? 0 : -ENOENT;
}
