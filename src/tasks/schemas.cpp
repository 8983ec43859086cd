#include "tasks/schemas.h"

namespace mneme::tasks {

using enum FieldType;

namespace {

const ToolParameter kParameters[] = {
    {"city", "string", kCity, "the city", "城市"},
    {"date", "string", kDate, "the date", "日期"},
    {"count", "integer", kCount, "the count", "数量"},
    {"limit", "integer", kCount, "the limit", "上限"},
    {"person", "string", kPerson, "the person", "人员"},
    {"product", "string", kProduct, "the product", "产品"},
    {"color", "string", kColour, "the colour", "颜色"},
    {"urgent", "boolean", kFlag, "the urgent flag", "加急标志"},
    {"amount", "integer", kAmount, "the amount", "金额"},
    {"code", "string", kCode, "the code", "代码"},
    {"public", "boolean", kFlag, "the public flag", "公开标志"},
};
const ToolParameter kParametersHeldOut[] = {
    {"destination", "string", kCity, "the destination", "目的地"},
    {"deadline", "string", kDate, "the deadline", "截止时间"},
    {"retries", "integer", kCount, "the number of retries", "重试次数"},
    {"recipient", "string", kPerson, "the recipient", "收件人"},
    {"verbose", "boolean", kFlag, "the verbose switch", "详细输出开关"},
    {"case_id", "string", kCode, "the case id", "工单号"},
    {"budget", "integer", kAmount, "the budget", "预算"},
};

constexpr ToolWord kVerbs[] = {
    {"get", "get", "获取"},       {"find", "find", "查找"},     {"create", "create", "新建"},
    {"delete", "delete", "删除"}, {"update", "update", "更新"}, {"send", "send", "发送"},
    {"book", "book", "预订"},     {"list", "list", "列出"},     {"open", "open", "打开"},
    {"close", "close", "关闭"},   {"print", "print", "打印"},   {"check", "check", "检查"}};
constexpr ToolWord kVerbsHeldOut[] = {{"archive", "archive", "归档"},
                                      {"schedule", "schedule", "安排"},
                                      {"translate", "translate", "翻译"},
                                      {"cancel", "cancel", "取消"},
                                      {"rename", "rename", "重命名"}};
constexpr ToolWord kObjects[] = {
    {"weather", "the weather", "天气"}, {"flight", "a flight", "航班"},     {"order", "an order", "订单"},
    {"invoice", "an invoice", "发票"},  {"message", "a message", "消息"},   {"file", "a file", "文件"},
    {"user", "a user", "用户"},         {"room", "a room", "房间"},         {"report", "a report", "报告"},
    {"ticket", "a ticket", "门票"},     {"calendar", "a calendar", "日历"}, {"task", "a task", "任务"},
    {"photo", "a photo", "照片"},       {"payment", "a payment", "付款"},   {"device", "a device", "设备"}};
constexpr ToolWord kObjectsHeldOut[] = {
    {"contract", "a contract", "合同"}, {"playlist", "a playlist", "歌单"}, {"parcel", "a parcel", "包裹"},
    {"recipe", "a recipe", "菜谱"},     {"backup", "a backup", "备份"},     {"survey", "a survey", "问卷"}};

}  // namespace

std::span<const Schema> schemas(Language language, Split split) {
  return language == Language::kEnglish ? schemas_english(split) : schemas_chinese(split);
}

std::span<const ToolParameter> tool_parameters(Split split) {
  if (split == Split::kTrain) return kParameters;
  return kParametersHeldOut;
}
std::span<const ToolWord> tool_verbs(Split split) {
  if (split == Split::kTrain) return kVerbs;
  return kVerbsHeldOut;
}
std::span<const ToolWord> tool_objects(Split split) {
  if (split == Split::kTrain) return kObjects;
  return kObjectsHeldOut;
}

}  // namespace mneme::tasks
