// Two orders meet, from C++: the book as an object, every result checked.
//
//     c++ -O2 -std=c++17 example.cpp -I. -L. -lwirematch -Wl,-rpath,$PWD -o example
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>
#include "wirematch.h"

class Book {
public:
    explicit Book(wirematch_sizes sizes = WIREMATCH_SIZES)
    {
        wirematch *made = nullptr;
        check(wirematch_create(&sizes, &made));
        book.reset(made);
    }

    // What the commands did; valid until the next call.
    const std::vector<wm_event> &apply(const std::vector<wm_command> &commands)
    {
        std::uint64_t cnt = 0;
        events.resize(wirematch_room(book.get(), commands.size()));
        check(wirematch_apply(book.get(), commands.data(), commands.size(), events.data(),
                              events.size(), &cnt));
        events.resize(cnt);
        return events;
    }

    wirematch_best top(std::uint32_t symbol, std::uint32_t side) const
    {
        wirematch_best best;
        check(wirematch_top(book.get(), symbol, side, &best));
        return best;
    }

private:
    struct Destroy {
        void operator()(wirematch *owned) const { wirematch_destroy(owned); }
    };

    static void check(int result)
    {
        if (result)
            throw std::runtime_error(wirematch_strerror(result));
    }

    std::unique_ptr<wirematch, Destroy> book;
    std::vector<wm_event> events;
};

static wm_command limit(wm_u32 order, wm_u8 side, wm_u32 qty, wm_i32 price_ticks)
{
    wm_command command = {};
    command.kind = WM_ENTER;
    command.side = side;
    command.order = order;
    command.qty = qty;
    command.price_ticks = price_ticks;
    return command;
}

int main()
{
    try {
        Book book;
        book.apply({ limit(1, 1, 300, 10250), limit(2, 1, 200, 10251) });
        for (const wm_event &event : book.apply({ limit(3, 0, 400, 10251) }))
            if (event.kind == WM_TRADE)
                std::printf("trade resting %u incoming %u qty %u price %d left %u\n", event.resting,
                            event.order, event.qty, event.price_ticks, event.left);
        wirematch_best ask = book.top(0, 1);
        std::printf("ask %lld qty %lld orders %lld\n", static_cast<long long>(ask.price_ticks),
                    static_cast<long long>(ask.qty), static_cast<long long>(ask.orders));
        wirematch_sizes none = WIREMATCH_SIZES;
        none.symbols = 0;
        Book refused(none);
    } catch (const std::runtime_error &error) {
        std::printf("refused: %s\n", error.what());
        return 0;
    }
    return 1;
}
