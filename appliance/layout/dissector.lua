-- The engine of the dissector: walks the tables printed above it.
-- A field is {name, offset, size, kind[, {code = words}]}; kinds: number, signed, text, price4,
-- price8. A message is {name, size, appendage, tail, fields}.

local protos = {
  soup = Proto("wm_soup", "SoupBinTCP packet of the order session"),
  ouch_in = Proto("wm_ouch_in", "OUCH 5.0 to the host"),
  ouch_out = Proto("wm_ouch_out", "OUCH 5.0 from the host"),
  itch = Proto("wm_itch", "ITCH 5.0"),
}
local wm_feed = Proto("wm_feed", "ITCH 5.0 in MoldUDP64")
local wm_order = Proto("wm_order", "Order session: SoupBinTCP in MoldUDP64")
local experts = {}
local trees = {}                       -- per protocol: message name -> field name -> ProtoField

local function make_field(abbr, field)
  local name, size, kind = field[1], field[3], field[4]
  if kind == "text" then return ProtoField.string(abbr, name) end
  if kind == "signed" then return ProtoField.int32(abbr, name) end
  if size == 1 then return ProtoField.uint8(abbr, name) end
  if size == 2 then return ProtoField.uint16(abbr, name) end
  if size == 4 then return ProtoField.uint32(abbr, name) end
  return ProtoField.uint64(abbr, name)
end

local function declare(key, messages)
  local proto, list = protos[key], {}
  trees[key] = {}
  for _, message in pairs(messages) do
    local known = {}
    for _, field in ipairs(message.fields) do
      local abbr = proto.name:lower() .. "." .. message.name .. "." .. field[1]
      known[field[1]] = make_field(abbr, field)
      list[#list + 1] = known[field[1]]
    end
    trees[key][message.name] = known
  end
  trees[key].payload = ProtoField.bytes(proto.name:lower() .. ".payload", "carried bytes")
  list[#list + 1] = trees[key].payload
  if key == "ouch_in" or key == "ouch_out" then
    trees[key].tags = {}
    for number, tag in pairs(tags) do
      trees[key].tags[number] = make_field(proto.name:lower() .. ".tag." .. tag[1], tag)
      list[#list + 1] = trees[key].tags[number]
    end
  end
  proto.fields = list
  experts[key] = ProtoExpert.new(proto.name:lower() .. ".broken", "Message breaks the format",
                                 expert.group.MALFORMED, expert.severity.ERROR)
  proto.experts = { experts[key] }
end

declare("soup", tables.soup)
declare("ouch_in", tables.ouch_in)
declare("ouch_out", tables.ouch_out)
do
  local all = { unknown = tables.itch_unknown }
  for code, message in pairs(tables.itch) do all[code] = message end
  declare("itch", all)
end

local mold = {}
for _, proto in ipairs({ wm_feed, wm_order }) do
  local abbr = proto.name:lower()
  local own = {
    session = ProtoField.string(abbr .. ".session", "session"),
    sequence = ProtoField.uint64(abbr .. ".sequence", "sequence"),
    count = ProtoField.uint16(abbr .. ".count", "count"),
    broken = ProtoExpert.new(abbr .. ".broken", "Datagram breaks the format",
                             expert.group.MALFORMED, expert.severity.ERROR),
  }
  proto.fields = { own.session, own.sequence, own.count }
  proto.experts = { own.broken }
  mold[proto.name] = own
end

local function broken(tree, key, text)
  tree:add_proto_expert_info(experts[key], text)
end

local function add_field(tree, proto_field, range, field)
  local kind = field[4]
  local item
  if kind == "text" then
    item = tree:add(proto_field, range)
  elseif range:len() == 6 then
    item = tree:add(proto_field, range, range:uint64())
  else
    item = tree:add(proto_field, range)
  end
  if kind == "price4" or kind == "price8" then
    local units = kind == "price4" and 10000 or 100000000
    item:append_text(string.format(" (%.4f)", range:uint64():tonumber() / units))
  end
  if field[5] and range:len() <= 2 then
    item:append_text(" (" .. (field[5][range:uint()] or "not a listed value") .. ")")
  end
end

local function add_tags(range, tree, key)
  local off = 0
  while off < range:len() do
    local size = range(off, 1):uint()
    if size == 0 or off + 1 + size > range:len() then
      broken(tree, key, "option length " .. size .. " does not fit the appendage")
      return
    end
    local number = range(off + 1, 1):uint()
    local tag = tags[number]
    if tag == nil then
      tree:add(range(off, 1 + size), "unknown option tag " .. number)
    elseif tag[3] ~= size - 1 then
      broken(tree, key, "option " .. tag[1] .. " has " .. (size - 1) .. " bytes, not " .. tag[3])
    else
      add_field(tree, trees[key].tags[number], range(off + 2, size - 1), tag)
    end
    off = off + 1 + size
  end
end

local function add_appendage(range, tree, key, message)
  local rest = range:len() - message.size
  local start, said = message.size, nil
  if message.appendage == "mandatory" then
    said = range(message.size - 2, 2):uint()
  else
    if rest == 0 then return end
    if rest < 2 then return broken(tree, key, "one byte after the message") end
    said, start, rest = range(start, 2):uint(), start + 2, rest - 2
  end
  if said ~= rest then
    return broken(tree, key, "appendage length says " .. said .. ", " .. rest .. " bytes follow")
  end
  if rest > 0 then add_tags(range(start, rest), tree, key) end
end

-- One message: its fields, then its appendage or what it carries. Returns the declaration or nil.
local function add_message(range, pinfo, tree, key, messages, type_off)
  if range:len() <= type_off then
    broken(tree:add(protos[key], range), key, "too short to hold a type")
    return nil
  end
  local message = messages[range(type_off, 1):uint()]
  local branch = tree:add(protos[key], range)
  if message == nil and key == "itch" and range:len() >= tables.itch_unknown.size then
    message = tables.itch_unknown
  end
  if message == nil then
    broken(branch, key, "no message of type " .. range(type_off, 1):string())
    return nil
  end
  branch:append_text(": " .. message.name)
  pinfo.cols.info:append(" " .. message.name)
  if range:len() < message.size then
    broken(branch, key, message.name .. " has " .. message.size .. " bytes, " .. range:len() ..
           " are here")
    return nil
  end
  for _, field in ipairs(message.fields) do
    add_field(branch, trees[key][message.name][field[1]], range(field[2], field[3]), field)
  end
  if message.appendage ~= "never" then
    add_appendage(range, branch, key, message)
  elseif range:len() > message.size then
    branch:add(trees[key].payload, range(message.size))
    if not message.tail then
      broken(branch, key, message.name .. " has " .. message.size .. " bytes, " .. range:len() ..
             " are here")
    end
  end
  return message
end

local function add_orders(range, pinfo, tree, letter)
  local key = letter == 0x55 and "ouch_in" or "ouch_out"
  add_message(range, pinfo, tree, key, tables[key], 0)
end

-- The MoldUDP64 layer of one datagram: header, then each(block with its length, block without).
local function walk(buffer, pinfo, tree, proto, each)
  local own = mold[proto.name]
  local branch = tree:add(proto, buffer())
  pinfo.cols.protocol = proto.name
  pinfo.cols.info = ""
  if buffer:len() < 20 then
    return branch:add_proto_expert_info(own.broken, buffer:len() .. " bytes are no header")
  end
  local count, off, found = buffer(18, 2):uint(), 20, 0
  branch:add(own.session, buffer(0, 10))
  branch:add(own.sequence, buffer(10, 8))
  branch:add(own.count, buffer(18, 2))
  pinfo.cols.info = buffer(0, 10):string() .. " " .. tostring(buffer(10, 8):uint64())
  local last = buffer:len() == off
  if count == 0 or count == 0xFFFF then
    pinfo.cols.info:append(count == 0 and " heartbeat" or " end of session")
    if not last then
      branch:add_proto_expert_info(own.broken, (buffer:len() - off) .. " bytes after the header")
    end
    return
  end
  if last then
    branch:append_text(", request")
    pinfo.cols.info:append(" request for " .. count)
    return
  end
  while off + 2 <= buffer:len() and found < count do
    local size = buffer(off, 2):uint()
    if off + 2 + size > buffer:len() then break end
    if size > 0 then
      each(buffer(off, 2 + size), buffer(off + 2, size), branch)
    else
      branch:add(buffer(off, 2), "empty message")
    end
    off, found = off + 2 + size, found + 1
  end
  if found < count or off < buffer:len() then
    branch:add_proto_expert_info(own.broken, "count says " .. count .. ", " .. found ..
      " whole messages and " .. (buffer:len() - off) .. " more bytes are here")
  end
end

function wm_feed.dissector(buffer, pinfo, tree)
  walk(buffer, pinfo, tree, wm_feed, function(_, message, branch)
    add_message(message, pinfo, branch, "itch", tables.itch, 0)
  end)
  return buffer:len()
end

function wm_order.dissector(buffer, pinfo, tree)
  walk(buffer, pinfo, tree, wm_order, function(packet, _, branch)
    local found = add_message(packet, pinfo, branch, "soup", tables.soup, 2)
    local letter = packet(2, 1):uint()
    if found and (letter == 0x53 or letter == 0x55) and packet:len() > 3 then
      add_orders(packet(3), pinfo, branch, letter)
    end
  end)
  return buffer:len()
end

for _, key in ipairs({ "itch", "ouch_in", "ouch_out" }) do
  protos[key].dissector = function(buffer, pinfo, tree)
    add_message(buffer(), pinfo, tree, key, tables[key], 0)
    return buffer:len()
  end
end

local soup_types = Field.new("soupbintcp.packet_type")
protos.ouch_in:register_heuristic("soupbintcp", function(buffer, pinfo, tree)
  local found = { soup_types() }
  if #found == 0 then return false end
  local letter = found[#found].value
  if type(letter) == "string" then letter = letter:byte() end
  if letter ~= 0x53 and letter ~= 0x55 then return false end
  add_orders(buffer(), pinfo, tree, letter)
  return true
end)

DissectorTable.get("udp.port"):add_for_decode_as(wm_feed)
DissectorTable.get("udp.port"):add_for_decode_as(wm_order)
