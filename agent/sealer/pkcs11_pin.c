/* SPDX-License-Identifier: ISC */
/*
 * The pin-file: a regular file, root's or our own, which nobody else may change and not all the
 * world may read. Its group may read it if it is root's: then root chose that group for us.
 */
#include "pkcs11_pin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_file(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static const char *what_is_wrong_with(const struct stat *file)
{
	mode_t refused = S_IWGRP | S_IRWXO | (file->st_uid == 0 ? 0 : S_IRGRP);

	if (!S_ISREG(file->st_mode))
		return "is no regular file";
	if (file->st_uid != 0 && file->st_uid != geteuid())
		return "is neither root's nor the agent's";
	if ((file->st_mode & refused) != 0)
		return "may be read or changed by others; chmod 0400, or root's and 0440";
	return NULL;
}

/* Could it be typed? Neither a byte order mark nor UTF-16 could. */
static bool is_typable(const uint8_t *bytes, size_t size)
{
	if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		return false;
	for (size_t i = 0; i < size; i++)
		if ((bytes[i] < ' ' && bytes[i] != '\t') || bytes[i] == 0x7f)
			return false;
	return true;
}

/* One line without its ending, \n or \r\n, which may be missing. What is none costs no try. */
static enum mortise_status take_line(
	struct pkcs11 *token, const char *path, const struct secret *text, struct secret **out_pin)
{
	size_t size = text->size;

	if (size > 0 && text->bytes[size - 1] == '\n')
		size--;
	if (size > 0 && size < text->size && text->bytes[size - 1] == '\r')
		size--;
	if (size == 0 || size > TOKEN_PIN_MAX || !is_typable(text->bytes, size))
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN,
			"pin-file %.160s is not one line of 1 to %d bytes of plain text", path,
			TOKEN_PIN_MAX);
	return secret_copy(text->bytes, size, out_pin);
}

static enum mortise_status read_file(struct pkcs11 *token, struct secret **out_pin)
{
	const char *path = token->options->pkcs11_pin_file, *wrong;
	CLEANUP(close_file) int fd = -1;
	CLEANUP(secret_drop) struct secret *text = NULL;
	struct stat file;
	ssize_t size;

	if (path == NULL)
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN,
			"the token wants a PIN, and there is no pin-file in [pkcs11]");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &file) != 0)
		return pkcs11_fail(
			token, TOKEN_FAULT_NO_PIN, "pin-file %.160s: %s", path, strerror(errno));
	wrong = what_is_wrong_with(&file);
	if (wrong != NULL)
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN, "pin-file %.160s %s", path, wrong);
	TRY(secret_new(TOKEN_PIN_MAX + 3, &text)); /* with an ending, and one byte too many */
	do
		size = read(fd, text->bytes, text->size);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return pkcs11_fail(
			token, TOKEN_FAULT_NO_PIN, "pin-file %.160s: %s", path, strerror(errno));
	secret_shrink(text, (size_t)size);
	return take_line(token, path, text, out_pin);
}

static enum mortise_status may_try(struct pkcs11 *token, bool is_typed, bool is_right)
{
	CK_FLAGS flags;

	TRY(pkcs11_flags(token, &flags));
	if ((flags & CKF_USER_PIN_LOCKED) != 0)
		return pkcs11_fail(
			token, TOKEN_FAULT_LOCKOUT, "the token says that its PIN is locked");
	if ((flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		return pkcs11_fail(token, TOKEN_FAULT_UNSUPPORTED,
			"a token whose PIN is typed on itself cannot open a store at boot");
	if (is_typed || is_right)
		return MORTISE_OK;
	if ((flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN,
			"the token has one try left, which pin-file does not get; log in with the "
			"right PIN, as by pkcs11-tool --login --test, and try again");
	return MORTISE_OK;
}

enum mortise_status pkcs11_login(struct pkcs11 *token, struct pkcs11_pin *pin)
{
	const struct secret *used;
	CK_RV value;

	if (pin->is_wrong)
		return pkcs11_fail(token, TOKEN_FAULT_WRONG_PIN, "C_Login: it failed before");
	TRY(may_try(token, pin->typed != NULL, pin->is_right));
	if (pin->typed == NULL && pin->kept == NULL)
		TRY(read_file(token, &pin->kept));
	used = pin->typed != NULL ? pin->typed : pin->kept;
	/* PKCS #11 takes a PIN by a pointer that is not const, and does not change it. */
	value = token->module->C_Login(
		token->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)used->bytes, used->size);
	pin->is_right = value == CKR_OK;
	pin->is_wrong = !pin->is_right;
	return pkcs11_check(token, value, "C_Login", TOKEN_FAULT_OTHER);
}
