/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/cgname.h"
#include "test.h"

/* OOM-408: the workload that the name of a pod tells. */
static void test_workloads(void **state)
{
	static const struct {
		const char *pod, *node, *want;
	} cases[] = {
		/* Deployment: hash and five of the generator's letters */
		{ "search-7d9f8c6b5-x2lqp", "n1", "search" },
		{ "my-web-app-5d4b9c8f7f-zx9kd", "n1", "my-web-app" },
		{ "a-bcdfgh-bcdfg", "n1", "a" }, /* hash of 6 */
		{ "a-bcdfghjklm-bcdfg", "n1", "a" }, /* of 10 */
		{ "a-bcdfg-bcdfg", "n1", "a-bcdfg" }, /* of 5: not a hash */
		{ "a-bcdfghjklmn-bcdfg", "n1", "a-bcdfghjklmn" }, /* of 11 */
		{ "web-7d9f8c6a5-x2lqp", "n1", "web-7d9f8c6a5" }, /* 'a' is no letter of it */
		{ "web-7d9f8c6b5-x2lqe", "n1", "web-7d9f8c6b5-x2lqe" }, /* nor is 'e' */
		{ "web-7d9f8c6b5-x2lq", "n1", "web-7d9f8c6b5-x2lq" }, /* four */
		{ "web-7d9f8c6b5-x2lqpz", "n1", "web-7d9f8c6b5-x2lqpz" }, /* six */
		{ "web-7D9F8C6B5-X2LQP", "n1", "web-7D9F8C6B5-X2LQP" },
		/* DaemonSet, Job, a bare ReplicaSet */
		{ "node-exporter-x2lqp", "n1", "node-exporter" },
		{ "kube-proxy-bcdfg", "n1", "kube-proxy" },
		{ "backup-28301230-x2lqp", "n1", "backup-28301230" },
		{ "x-22222", "n1", "x" },
		{ "x2lqp", "n1", "x2lqp" },
		{ "-x2lqp", "n1", "-x2lqp" },
		{ "7d9f8c6b5-x2lqp", "n1", "7d9f8c6b5" }, /* no name before the hash */
		/* StatefulSet */
		{ "postgres-0", "n1", "postgres" },
		{ "postgres-12", "n1", "postgres" },
		{ "my-db-00", "n1", "my-db" },
		{ "kafka-13100", "n1", "kafka" }, /* '1' and '0' are no letters: an ordinal */
		{ "postgres-0a", "n1", "postgres-0a" },
		{ "postgres-", "n1", "postgres-" },
		{ "-0", "n1", "-0" },
		{ "12", "n1", "12" },
		/* static pods carry the node's name */
		{ "kube-apiserver-node7", "node7", "kube-apiserver" },
		{ "etcd-node-7.example.com", "node-7.example.com", "etcd" },
		{ "etcd-ip-10-0-0-7", "ip-10-0-0-7", "etcd" }, /* and not "etcd-ip-10-0-0" */
		{ "etcd-node7", "node8", "etcd-node7" },
		{ "etcd-xnode7", "node7", "etcd-xnode7" },
		{ "node7", "node7", "node7" },
		{ "-node7", "node7", "-node7" },
		{ "etcd-node7", "", "etcd-node7" },
		{ "etcd-node7", NULL, "etcd-node7" },
		/* none of them */
		{ "", "n1", "" },
		{ "debug", "n1", "debug" },
		{ "a-b-c", "n1", "a-b-c" },
		{ "-", "n1", "-" },
		{ "\xff-\xff", "n1", "\xff-\xff" },
	};

	(void)state;
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].pod);
		char *exact = malloc(len ? len : 1), have[128];
		size_t n;

		memcpy(exact, cases[i].pod, len); /* without a NUL */
		n = cgname_workload(exact, len, cases[i].node);
		assert_true(n <= len);
		(void)snprintf(have, sizeof(have), "%.*s", (int)n, exact);
		assert_string_equal(have, cases[i].want);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_workloads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
