/* SPDX-License-Identifier: ISC */
#include "sealer_process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "processes.h"

#define ALARM_GRACE_MS 1000 /* the keeper kills at the deadline; this is if the keeper can't */

bool sealer_process_has_keeper(void)
{
	int type;
	socklen_t size = sizeof type;

	return getsockopt(PROCESS_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_SEQPACKET;
}

static bool start_alarm(int deadline_ms)
{
	int total_ms = deadline_ms + ALARM_GRACE_MS;
	struct itimerval timer = {
		.it_value = {.tv_sec = total_ms / 1000, .tv_usec = total_ms % 1000 * 1000},
	};
	sigset_t none;

	sigemptyset(&none);
	return signal(SIGALRM, SIG_DFL) != SIG_ERR && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
	       setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

static bool confine(void)
{
	const struct rlimit no_core = {0};
	pid_t parent = getppid();

	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
	       setrlimit(RLIMIT_CORE, &no_core) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* Nothing of the environment steers the libraries; tpm2-tss would log to standard error. */
static bool clean_environment(void)
{
	return clearenv() == 0 && setenv("TSS2_LOG", "all+none", 1) == 0 &&
	       setenv("PATH", "/usr/bin:/bin", 1) == 0;
}

bool sealer_process_confine(int deadline_ms)
{
	return confine() && clean_environment() && start_alarm(deadline_ms);
}
