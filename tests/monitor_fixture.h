/* SPDX-License-Identifier: ISC */
/*
 * A monitor that runs, with this test as its own keeper, witness and sealer (monitor_fake.h), and
 * as the service manager that is told.
 */
#ifndef MORTISE_MONITOR_FIXTURE_H
#define MORTISE_MONITOR_FIXTURE_H

#include <sys/types.h>

#include "credential_hold.h"
#include "monitor.h"
#include "mortise_test.h"
#include "processes.h"
#include "wire.h"

#define PATIENCE_MS 20000

struct monitor_fixture {
	char base[40], notify_path[64], mark[64];
	int notify_fd, listener_fd, credentials_fd;
	struct monitor_listener listeners[2];
	int ready[2];
	pid_t monitor;
	struct config config;
	struct identity identity;
	struct monitor_settings settings;
};

int set_up_monitor(void **state);
/* The monitor, if it runs, is stopped. */
int tear_down_monitor(void **state);
/* Runs it, with a keeper that plays this scenario. */
void monitor_start(struct monitor_fixture *fixture, const char *scenario);
/* Of the monitor, once it has ended. */
int monitor_exit_status(struct monitor_fixture *fixture);
/* What the service manager is told next. */
void monitor_read_datagram(struct monitor_fixture *fixture, char *text, size_t size);
void assert_told(struct monitor_fixture *fixture, const char *expected);

/* The keeper of that scenario ends, and another takes its place. */
void assert_survives(struct monitor_fixture *fixture, const char *scenario);
int64_t monitor_now_ms(void);

#define MONITOR_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_monitor, tear_down_monitor)

#endif
