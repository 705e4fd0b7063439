/* For builds under ThreadSanitizer only: its call stack after a Lua error.
 *
 * Debian's liblua is fortified, so an error leaves through __longjmp_chk, which the tool does not watch: the functions
 * that were left stay on its own stack of calls, until that runs over into its books and the process hangs in its
 * signal handler. This goes the same way through longjmp, which it does watch.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <setjmp.h>

_Noreturn void __longjmp_chk(jmp_buf to, int value);

_Noreturn void __longjmp_chk(jmp_buf to, int value) {
    longjmp(to, value);
}
#endif
#endif
