/* The sender's choice of a transmit queue, by UDP destination port: queue = port modulo 2^k. A veth
   hands a frame to the receive queue of the same number, so this stands in for a card that steers
   ports to queues. Hung on the egress of a device by tc; for the demo and benches, no product code.

       tc qdisc add dev IF clsact
       tc filter add dev IF egress bpf direct-action object-file queue.bpf.o section tc

   Order port bases are multiples of the queue count here. Frames that are no IPv4 UDP without
   options keep the kernel's choice. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "parse.h"

#define QUEUE_CNT 8

SEC("tc")
int queue(struct __sk_buff *frame)
{
    struct cursor cursor = { (void *)(long)frame->data, (void *)(long)frame->data_end };
    struct ethhdr *ether = TAKE(&cursor, struct ethhdr);
    if (!ether || ether->h_proto != bpf_htons(ETH_P_IP))
        return TC_ACT_OK;
    struct iphdr *ip = TAKE(&cursor, struct iphdr);
    if (!ip || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
        return TC_ACT_OK;
    struct udphdr *udp = TAKE(&cursor, struct udphdr);
    if (udp)                            /* 0 is "none chosen", so queue q is q + 1 */
        frame->queue_mapping = bpf_ntohs(udp->dest) % QUEUE_CNT + 1;
    return TC_ACT_OK;
}

char _license[] SEC("license") = "Apache-2.0";
