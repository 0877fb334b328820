"""What the check says of itself."""

from __future__ import annotations

from .text import Text

HEAD = Text(
    "aiot-mqtt {version} check · settings {file} · user {user}", "aiot-mqtt {version} 检查 · 设置 {file} · 用户 {user}"
)
NO_FILE = Text("(no file: environment and defaults)", "（无文件：环境变量和默认值）")
AS_ROOT = Text(
    "root (there is no user {user} to become: rights of files are not tested as the service has them; --user NAME)",
    "root（没有可切换的用户 {user}：未按服务的身份检查文件权限；可用 --user NAME 指定）",
)
LISTENING = Text("listening for {seconds} s …", "收听 {seconds} 秒…")
NOT_CHECKED = Text("not checked (needs: {cause}): {names}", "未检查（需要先解决：{cause}）：{names}")
MORE_OK = Text("{message} (and {count} more are well)", "{message}（另有 {count} 项正常）")
NOT_REACHED = Text("not looked at: the check did not come this far", "未检查：检查没有进行到这一步")
BROKE = Text(
    "the check itself failed here: {error}",
    "检查程序自身在这里出错：{error}",
    "please report it, with the lines above",
    "请连同上面的内容报告此问题",
)
OUT_OF_TIME = "not done within {seconds:.0f} s"
ALL_WELL = Text("All is well: {count} looked at.", "结论：一切正常，共检查 {count} 项。")
ONLY_UNKNOWN = Text(
    "No mistake found: {count} are well, {unknown} cannot be seen from here.",
    "结论：没有发现问题，{count} 项正常，{unknown} 项从这里看不到。",
)
RESULT = Text(
    "Result: {errors} error(s), {warnings} warning(s). First: {first}.",
    "结论：{errors} 个错误，{warnings} 个警告。先处理：{first}。",
)
BROKEN = Text("The check itself did not finish; do not rely on it.", "检查没有正常完成，结果不可靠。")
EXIT = Text("(exit code {code})", "（退出码 {code}）")
GROUP_NAMES = {
    "local": Text("This host", "本机"),
    "broker": Text("Broker", "Broker"),
    "database": Text("Database", "数据库"),
    "devices": Text("Devices", "设备"),
}
