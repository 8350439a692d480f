/* SPDX-License-Identifier: ISC */
/* The second thread of the keeper: it waits in fdatasync so that the first does not. */
#include "audit_file.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Cannot block: the counter is read back to 0 before the next job. */
static void announce(const struct audit_syncer *syncer)
{
	ssize_t count;

	do {
		count = write(syncer->event, &(uint64_t){1}, sizeof(uint64_t));
	} while (count < 0 && errno == EINTR);
}

static void *work(void *context)
{
	struct audit_syncer *syncer = context;

	(void)pthread_mutex_lock(&syncer->lock);
	for (;;) {
		int fd = syncer->fd;
		bool has_failed;

		if (fd < 0 && syncer->is_ending)
			break;
		if (fd < 0) {
			(void)pthread_cond_wait(&syncer->wake, &syncer->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&syncer->lock);
		has_failed = fdatasync(fd) != 0;
		(void)pthread_mutex_lock(&syncer->lock);
		syncer->has_failed = has_failed;
		syncer->fd = -1;
		announce(syncer);
	}
	(void)pthread_mutex_unlock(&syncer->lock);
	return NULL;
}

/* Signals are the loop's business: the thread is born with all of them blocked. */
static int start_blocked(struct audit_syncer *syncer)
{
	sigset_t all, before;
	int error;

	(void)sigfillset(&all);
	error = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (error != 0)
		return error;
	error = pthread_create(&syncer->thread, NULL, work, syncer);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

enum mortise_status audit_syncer_start(struct audit_syncer *syncer)
{
	*syncer = (struct audit_syncer){
		.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
	syncer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (syncer->event < 0)
		return MORTISE_IO;
	if (start_blocked(syncer) == 0)
		return MORTISE_OK;
	(void)close(syncer->event);
	return MORTISE_IO;
}

void audit_syncer_stop(struct audit_syncer *syncer)
{
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->is_ending = true;
	(void)pthread_cond_signal(&syncer->wake);
	(void)pthread_mutex_unlock(&syncer->lock);
	(void)pthread_join(syncer->thread, NULL);
	(void)close(syncer->event);
}

void audit_syncer_begin(struct audit_syncer *syncer, int fd)
{
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->fd = fd;
	syncer->has_failed = false;
	if (fd < 0)
		announce(syncer);
	(void)pthread_cond_signal(&syncer->wake);
	(void)pthread_mutex_unlock(&syncer->lock);
}

enum mortise_status audit_syncer_end(struct audit_syncer *syncer)
{
	uint64_t count;
	bool has_failed;

	if (read(syncer->event, &count, sizeof count) != (ssize_t)sizeof count)
		return MORTISE_BUSY;
	(void)pthread_mutex_lock(&syncer->lock);
	has_failed = syncer->has_failed;
	(void)pthread_mutex_unlock(&syncer->lock);
	return has_failed ? MORTISE_IO : MORTISE_OK;
}
