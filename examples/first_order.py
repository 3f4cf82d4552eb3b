from tempolite import Tempolite, WorkflowContext


def validate(order_id: str) -> bool:
    return order_id.startswith("order-")


def process_order(ctx: WorkflowContext, order_id: str) -> str:
    if not ctx.activity("validate", validate, order_id).get():
        raise ValueError(f"invalid order: {order_id}")
    return "done"


with Tempolite("orders.db") as tp:
    print(tp.execute("order-123", process_order, "order-123").get())
