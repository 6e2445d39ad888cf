/* Giving rights away, and moving between network namespaces. */
#include "native.h"
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#define MDWE_REFUSE_EXEC_GAIN 1

static int32_t answer(long result) { return result < 0 ? -errno : (int32_t)result; }

int32_t wm_no_new_privileges(void)       { return answer(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }
int32_t wm_die_with_parent(int32_t sig)  { return answer(prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)); }
int32_t wm_enter_namespace(int32_t fd)   { return answer(setns(fd, CLONE_NEWNET)); }
int32_t wm_new_network_namespace(void)   { return answer(unshare(CLONE_NEWNET)); }
int32_t wm_write_execute_denied(void)    { return answer(prctl(PR_GET_MDWE, 0, 0, 0, 0)); }

int32_t wm_deny_write_execute(void)
{
    return answer(prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0));
}

int64_t wm_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets))
        return -errno;
    return (int64_t)(sets[1].permitted | sets[1].effective) << 32
         | (sets[0].permitted | sets[0].effective);
}
