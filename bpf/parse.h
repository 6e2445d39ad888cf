/* A bounds-checked cursor over a frame's headers. Each step checks that the header is there and
   moves on; the verifier sees one comparison a header. All fields stay in network order. */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

struct cursor {
    void *at;
    void *end;
};

struct vlan_tag {
    __be16 control;
    __be16 ether_type;
};

/* The header of sz bytes under the cursor, which moves behind it; NULL if the frame is shorter. */
#define TAKE(cursor, type) ((type *)take(cursor, sizeof(type)))

static __always_inline void *take(struct cursor *cursor, __u32 sz)
{
    void *header = cursor->at;
    if (header + sz > cursor->end)
        return 0;
    cursor->at = header + sz;
    return header;
}

/* Whether the one's complement sum of a 20-byte IPv4 header is right. */
static __always_inline int ipv4_checksum_holds(const struct iphdr *ip)
{
    const __u32 *words = (const __u32 *)ip;
    __u64 sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}
